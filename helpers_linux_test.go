package filelock_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/ticketdir"
)

// requireRest skips where tickets do not rest.
func requireRest(t *testing.T, dir string) {
	t.Helper()
	v, err := ticketdir.Open(ticketdir.Queue{Dir: dir})
	require.NoError(t, err)
	defer v.Close()
	if !v.Entries() {
		t.Skipf("tickets do not rest in %s, of which other kernels may know", dir)
	}
}

// isMarked reports whether a ticket has the mark of one that rests, or is gone.
func isMarked(file string) bool {
	var st syscall.Stat_t
	err := syscall.Stat(file, &st)
	return err == syscall.ENOENT || err == nil && st.Atim == syscall.Timespec{}
}

// subdirectory makes another directory in dir.
func subdirectory(t *testing.T, dir string, n int) string {
	t.Helper()
	sub := filepath.Join(dir, strconv.Itoa(n))
	require.NoError(t, os.Mkdir(sub, 0o777))
	return sub
}
