package filelock_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWeight: what a program links that uses this package. Each of these brings
// much with it, and with net or os/user the C library as well.
func TestWeight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("needs the go command: %v", err)
	}
	packages := strings.Fields(string(out))
	for _, heavy := range []string{"net", "net/http", "os/user", "crypto/tls", "go.uber.org/zap"} {
		require.NotContains(t, packages, heavy)
	}
	for _, p := range packages {
		require.False(t, strings.HasPrefix(p, "github.com/shirou/gopsutil"), p)
	}
	const most = 140
	t.Logf("%d packages", len(packages))
	require.LessOrEqual(t, len(packages), most)
}
