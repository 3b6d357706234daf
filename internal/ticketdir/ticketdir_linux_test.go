package ticketdir

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// TestNoSpace: a full filesystem is no queue.
func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "nr_inodes=4"); err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	q := queueIn(dir)
	a := create(t, q)
	a.h.oneKernel = false // so that raises need a file too
	for i := 0; ; i++ {
		if err := os.WriteFile(fmt.Sprint(dir, "/", i), nil, 0o644); err != nil {
			require.ErrorIs(t, err, unix.ENOSPC)
			break
		}
		require.Less(t, i, 10)
	}
	left := names(t, dir)

	b := New(q)
	_, err := b.Create()
	require.ErrorContains(t, err, dir+"/t.lock.")
	requirePathError(t, err, "create", pathIn(err), unix.ENOSPC)
	assert.NoError(t, b.Remove(), "there is nothing to remove")

	n := queue.Number{Sec: 1}
	requirePathError(t, a.Announce(n), "create", dir+"/"+ticket.Raised(a.Name(), n), unix.ENOSPC)
	_, err = a.Renumber(n)
	require.NoError(t, err)
	_, err = a.List() // needs a scratch file
	require.ErrorIs(t, err, unix.ENOSPC)
	require.ErrorContains(t, err, "create "+dir+"/t.lock.")
	assert.Equal(t, left, names(t, dir))
	require.NoError(t, a.Remove())
}

// pathIn returns the path in a message, where it has a random part.
func pathIn(err error) string { return strings.TrimSuffix(strings.Fields(err.Error())[1], ":") }

// asNobody runs f with the rights of another user on files, for this thread
// alone. All of f's system calls must be made by this goroutine.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	if _, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Skip("setfsuid: ", err)
	}
	defer unix.SetfsuidRetUid(0)
	f()
}

// sharedDir returns a directory that every user reaches.
func sharedDir(t *testing.T, mode uint32) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	dir, err := os.MkdirTemp("", "ticketdir-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, unix.Chmod(dir, mode))
	return dir
}

func TestPermissions(t *testing.T) {
	t.Run("no writing", func(t *testing.T) {
		q := queueIn(sharedDir(t, 0o755))
		asNobody(t, func() {
			_, err := New(q).Create()
			require.ErrorContains(t, err, q.Dir+"/t.lock.")
			requirePathError(t, err, "create", pathIn(err), unix.EACCES)
		})
	})
	t.Run("no reading", func(t *testing.T) {
		q := queueIn(sharedDir(t, 0o733))
		asNobody(t, func() {
			_, err := New(q).Create()
			requirePathError(t, err, "open", q.Dir, unix.EACCES)
			_, err = Open(q)
			requirePathError(t, err, "open", q.Dir, unix.EACCES)
		})
		assert.Empty(t, names(t, q.Dir), "a ticket was left")
	})
	t.Run("no removing, for a while", func(t *testing.T) {
		// What cannot be removed is still there, raised entries and all, and
		// can be removed later.
		q := queueIn(sharedDir(t, 0o777))
		asNobody(t, func() {
			o := create(t, q)
			o.h.oneKernel = false
			require.NoError(t, o.Announce(queue.Number{Sec: 1 << 33}))
			require.NoError(t, o.Settle())
			require.NoError(t, unixChmod(q.Dir, 0o555))
			requirePathError(t, o.Remove(), "remove", o.Path(), unix.EACCES)
			assert.Len(t, names(t, q.Dir), 2)
			_, err := o.Confirm()
			require.NoError(t, err)
			assert.Equal(t, liveness.WitnessHeld, probe(t, &o.View, o.Name()))
			require.NoError(t, unixChmod(q.Dir, 0o777))
			require.NoError(t, o.Remove())
			assert.Empty(t, names(t, q.Dir))
		})
	})
	t.Run("another's ticket in a sticky directory", func(t *testing.T) {
		q := queueIn(sharedDir(t, 0o1777))
		q.Mode, q.ExactMode = 0o600, true
		root := create(t, q)
		require.NoError(t, root.Settle())
		asNobody(t, func() {
			var mine *Own
			for _, oneKernel := range []bool{true, false} {
				mine = create(t, q) // whose first listing asks for all numbers
				mine.h.oneKernel = oneKernel
				assert.Equal(t, mtime(t, root.Path()), list(t, mine)[root.Name()], "it counts, readable or not")
			}
			p, err := mine.Probe(root.Name())
			require.NoError(t, err)
			defer mine.Release(&p)
			assert.Equal(t, liveness.WitnessNone, p.Witness, "it cannot be asked")
			assert.Equal(t, mtime(t, root.Path()), p.Number)
			requirePathError(t, mine.Reclaim(root.Name(), &p), "remove", root.Path(), unix.EPERM)
			require.NoError(t, mine.Remove())
		})
	})
}

// unixChmod changes a mode as root, whoever this thread is for files.
func unixChmod(path string, mode uint32) error {
	was, _ := unix.SetfsuidRetUid(0)
	defer unix.SetfsuidRetUid(was)
	return unix.Chmod(path, mode)
}
