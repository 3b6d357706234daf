// Package tests tests etcdlock with real servers: this binary, run again. It is a
// module of its own, so that whoever uses etcdlock does not depend on the server.
package tests

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/filelock-go/filelock/internal/locktest"
)

var figures = flag.Bool("figures", false, "measure, beside etcd's own mutex; takes minutes")

// programs are what this binary is too, by the name that it is run under.
var programs = map[string]func(args []string) int{}

func TestMain(m *testing.M) {
	if program := programs[filepath.Base(os.Args[0])]; program != nil {
		os.Exit(program(os.Args[1:]))
	}
	locktest.RunChild()
	flag.Parse()
	code := m.Run()
	if code == 0 {
		if err := locktest.Goroutines(); err != nil {
			os.Stderr.WriteString("goroutines were left: " + err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}
