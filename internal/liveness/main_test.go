package liveness

import (
	"os"
	"testing"

	"github.com/filelock-go/filelock/internal/locktest"
)

func TestMain(m *testing.M) {
	locktest.RunChild()
	os.Exit(m.Run())
}
