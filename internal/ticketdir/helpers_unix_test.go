//go:build unix

package ticketdir

import (
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// onEach runs f on a disk and in memory.
func onEach(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	t.Run("disk", func(t *testing.T) { f(t, t.TempDir()) })
	dir, err := os.MkdirTemp("/dev/shm", "ticketdir-test-")
	if err != nil {
		return
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Run("memory", func(t *testing.T) { f(t, dir) })
}

func queueIn(dir string) Queue {
	return Queue{Dir: dir, Prefix: ticket.Prefix("t"), Mode: 0o644}
}

// create makes a ticket that is removed when the test ends.
func create(t testing.TB, q Queue) *Own {
	t.Helper()
	o := New(q)
	name, err := o.Create()
	require.NoError(t, err)
	require.Equal(t, o.Name(), name)
	t.Cleanup(func() { o.Remove() })
	return o
}

// view opens a view that is closed when the test ends.
func view(t testing.TB, q Queue) *View {
	t.Helper()
	v, err := Open(q)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

func names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func mtime(t testing.TB, path string) queue.Number {
	t.Helper()
	// Not by os.Lstat, whose times end in 2038 on some systems.
	st, err := fstatat(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW)
	require.NoError(t, err)
	return st.modified
}

func setMtime(t testing.TB, path string, n queue.Number) {
	t.Helper()
	require.NoError(t, chtimes(unix.AT_FDCWD, path, numberAt(time.Now()), n))
}

// numbers returns a listing by name.
func numbers(ts []queue.Ticket) map[string]queue.Number {
	m := map[string]queue.Number{}
	for _, t := range ts {
		m[t.Name] = t.Number
	}
	return m
}

func list(t testing.TB, o *Own) map[string]queue.Number {
	t.Helper()
	ts, err := o.List()
	require.NoError(t, err)
	return numbers(ts)
}

// requirePathError checks that err tells what failed where.
func requirePathError(t testing.TB, err error, op, path string, is error) {
	t.Helper()
	var pe *fs.PathError
	require.ErrorAs(t, err, &pe)
	require.Equal(t, op, pe.Op)
	require.Equal(t, path, pe.Path)
	require.ErrorIs(t, err, is)
}

// manyKernels has a ticket's directory taken for one that other kernels mount too.
func manyKernels(o *Own) {
	o.h.filesystem.OneKernel = false
}

// each runs f for each way that a directory is looked at.
func each(t *testing.T, h *handle, f func(t *testing.T)) {
	t.Helper()
	filesystem, followsOpen := h.filesystem, h.followsOpen
	defer func() { h.filesystem, h.followsOpen = filesystem, followsOpen }()
	t.Run("one kernel", f)
	h.filesystem.OneKernel = false
	h.followsOpen = false
	t.Run("many kernels", f)
	h.followsOpen = true
	t.Run("many kernels, by opening", f)
}

func other(t testing.TB, v *View, name string) *Other {
	t.Helper()
	o, err := v.OpenOther(name)
	require.NoError(t, err)
	t.Cleanup(o.Close)
	require.Equal(t, name, o.Name())
	return o
}

func look(t testing.TB, o *Other) Probe {
	t.Helper()
	p, err := o.Look()
	require.NoError(t, err)
	return p
}
