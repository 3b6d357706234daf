package passage

import (
	"flag"
	"os"
	"testing"

	"github.com/filelock-go/filelock/internal/locktest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := locktest.SideBySide(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
