package ticketdir

import (
	"fmt"
	"io/fs"
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
	manyKernels(a) // so that raises need a file too
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
				assert.Equal(t, liveness.Held, p.Witness)
			}
			require.NoError(t, o.Quit())
			assert.Equal(t, liveness.Free, look(t, v).Witness)
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

// unixChmod changes a mode as root, whoever this thread is for files.
func unixChmod(path string, mode uint32) error {
	was, _ := unix.SetfsuidRetUid(0)
	defer unix.SetfsuidRetUid(was)
	return unix.Chmod(path, mode)
}

// TestMode: a ticket has the queue's mode, whatever the process's umask and the
// directory's default ACL say: others are to see its locks.
func TestMode(t *testing.T) {
	for name, tt := range map[string]struct {
		umask int
		acl   bool
		mode  fs.FileMode
		made  fs.FileMode // by open alone
	}{
		"umask":          {0o077, false, 0o644, 0o600},
		"nothing at all": {0o777, false, 0o644, 0},
		"wider":          {0o022, false, 0o666, 0o644},
		"narrower":       {0, false, 0o600, 0o600},
		"odd":            {0o077, false, 0o604, 0o600},
		"default ACL":    {0, true, 0o644, 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				if tt.acl {
					if err := unix.Setxattr(dir, "system.posix_acl_default", ownerOnly(), 0); err != nil {
						t.Skip("default ACL: ", err)
					}
				}
				defer unix.Umask(unix.Umask(tt.umask))
				q := queueIn(dir)
				q.Mode = tt.mode
				o := create(t, q)
				mode := func() fs.FileMode {
					info, err := os.Lstat(o.Path())
					require.NoError(t, err)
					return info.Mode()
				}
				assert.Equal(t, tt.made, mode())
				n := mtime(t, o.Path())
				list(t, o)
				assert.Equal(t, tt.mode, mode())
				assert.Equal(t, n, mtime(t, o.Path()))
			})
		})
	}
}

// ownerOnly is an ACL by which nobody but the owner may do anything, see
// linux/posix_acl_xattr.h.
func ownerOnly() []byte {
	acl := []byte{2, 0, 0, 0}
	for _, e := range [][2]byte{{0x01, 7}, {0x04, 0}, {0x20, 0}} { // owner, group, others
		acl = append(acl, e[0], 0, e[1], 0, 0xff, 0xff, 0xff, 0xff)
	}
	return acl
}

// TestModeRefused: filesystems that keep no modes refuse to change them.
func TestModeRefused(t *testing.T) {
	q := queueIn(sharedDir(t, 0o777))
	defer unix.Umask(unix.Umask(0o077))
	o := create(t, q)
	asNobody(t, func() { assert.Len(t, list(t, o), 1) })
	info, err := os.Lstat(o.Path())
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
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

// TestDevice: a device without a driver cannot be opened, and is no ticket all
// the same.
func TestDevice(t *testing.T) {
	q := queueIn(t.TempDir())
	o := create(t, q)
	const name = "t.lock.h.1.device.pid"
	if err := unix.Mknod(o.path(name), unix.S_IFCHR|0o666, int(unix.Mkdev(240, 7))); err != nil {
		t.Skip("mknod: ", err)
	}
	_, err := o.OpenOther(name)
	require.Equal(t, fs.ErrNotExist, err)
	each(t, o.h, func(t *testing.T) {
		_, err := o.Stat(name)
		require.Equal(t, fs.ErrNotExist, err)
	})
}
