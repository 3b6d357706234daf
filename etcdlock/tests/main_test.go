// Package tests tests etcdlock with real servers: this binary, run again. It is a
// module of its own, so that whoever uses etcdlock does not depend on the server.
package tests

import (
	"flag"
	"os"
	"testing"

	"github.com/filelock-go/filelock/internal/locktest"
)

var figures = flag.Bool("figures", false, "measure, beside etcd's own mutex; takes minutes")

func TestMain(m *testing.M) {
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
