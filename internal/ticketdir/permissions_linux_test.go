package ticketdir

import (
	"io/fs"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// asNobody runs f with the rights of another user on files, for this thread
// alone. All of f's system calls must be made by this goroutine. It skips the
// test where this process may not be another user: setfsuid tells by what it
// leaves, and fails never.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	nobody := 65534
	if os.Geteuid() == nobody {
		nobody--
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer unix.SetfsuidRetUid(os.Geteuid())
	unix.SetfsuidRetUid(nobody)
	if is, _ := unix.SetfsuidRetUid(-1); is != nobody {
		t.Skipf("this process may not be user %d", nobody)
	}
	f()
}

// sharedDir returns a directory that every user reaches.
func sharedDir(t *testing.T, mode uint32) string {
	t.Helper()
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
			list(t, o)
			require.NoError(t, o.Settle(true))
			_, err := o.Enter()
			require.NoError(t, err)
			require.NoError(t, unixChmod(q.Dir, 0o555))
			v := other(t, &o.View, o.Name())
			for range 2 {
				requirePathError(t, o.Remove(), "remove", o.Path(), unix.EACCES)
				p := look(t, v)
				assert.Equal(t, liveness.Free, p.Entry, "it is inside no more")
				assert.Equal(t, liveness.Free, p.Witness, "it does not wait")
			}
			require.NoError(t, o.Quit())
			require.NoError(t, o.Quit())
			require.NoError(t, unixChmod(q.Dir, 0o777))
			require.NoError(t, o.Remove())
			assert.Empty(t, names(t, q.Dir))
			require.NoError(t, o.Quit(), "there is nothing left")
		})
	})
	t.Run("no removing, many kernels", func(t *testing.T) {
		q := queueIn(sharedDir(t, 0o777))
		asNobody(t, func() {
			o := create(t, q)
			manyKernels(o)
			require.NoError(t, o.Announce(queue.Number{Sec: 1 << 33}))
			require.NoError(t, o.Settle(true))
			require.NoError(t, unixChmod(q.Dir, 0o555))
			for range 2 {
				requirePathError(t, o.Remove(), "remove", o.Path(), unix.EACCES)
				assert.Negative(t, o.fd, "NFS only renames what is open")
				assert.Len(t, names(t, q.Dir), 2)
			}
			require.NoError(t, o.Quit())
			require.NoError(t, unixChmod(q.Dir, 0o777))
			require.NoError(t, o.Remove())
			assert.Empty(t, names(t, q.Dir))
		})
	})
	t.Run("another's ticket in a sticky directory", func(t *testing.T) {
		q := queueIn(sharedDir(t, 0o1777))
		q.Mode = 0o600
		root := create(t, q)
		require.NoError(t, root.Settle(true))
		each(t, root.h, func(t *testing.T) {
			asNobody(t, func() {
				mine := create(t, q) // whose first listing asks for all numbers
				assert.Equal(t, mtime(t, root.Path()), list(t, mine)[root.Name()], "it counts, readable or not")
				p, err := mine.Stat(root.Name())
				require.NoError(t, err)
				assert.Equal(t, mtime(t, root.Path()), p.Number)
				_, err = mine.OpenOther(root.Name())
				requirePathError(t, err, "open", root.Path(), fs.ErrPermission)
				requirePathError(t, mine.RemoveDead(root.Name()), "remove", root.Path(), unix.EPERM)
				require.NoError(t, mine.Remove())
			})
		})
	})
}

// unixChmod changes a mode as the directory's owner, whoever this thread is for
// files.
func unixChmod(path string, mode uint32) error {
	was, _ := unix.SetfsuidRetUid(os.Geteuid())
	defer unix.SetfsuidRetUid(was)
	return unix.Chmod(path, mode)
}

// TestRaisedByAnother: anybody may make a file with a raised entry's name.
func TestRaisedByAnother(t *testing.T) {
	q := queueIn(sharedDir(t, 0o1777))
	a, b := create(t, q), create(t, q)
	manyKernels(b)
	high := queue.Number{Sec: 1 << 33}
	entry := b.path(ticket.Raised(b.Name(), high))
	asNobody(t, func() { require.NoError(t, os.WriteFile(entry, nil, 0o644)) })
	old := mtime(t, b.Path())
	assert.Equal(t, old, list(t, a)[b.Name()])
	v, err := view(t, q).List()
	require.NoError(t, err)
	assert.Equal(t, old, numbers(v)[b.Name()])

	require.NoError(t, os.Remove(entry))
	require.NoError(t, b.Announce(high))
	assert.Equal(t, high, list(t, a)[b.Name()])
}
