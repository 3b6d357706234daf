package ticketdir

import (
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

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
