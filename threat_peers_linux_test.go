package filelock_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
)

// TestStrangersAtThePeersFile: what others can do to a file that WithFlockPeersFile names.
func TestStrangersAtThePeersFile(t *testing.T) {
	with := func(t *testing.T, mode uint32) (path, file string, lock *filelock.FileLock) {
		path = filepath.Join(shared(t, mode), "target")
		return path, path + ".old", newLock(t, path, filelock.WithFlockPeersFile(path+".old"))
	}
	t.Run("who may open it keeps everybody out", func(t *testing.T) {
		_, file, l := with(t, 0o755)
		require.NoError(t, plantFile(file))
		require.NoError(t, os.Chmod(file, 0o644))
		var theirs *os.File
		asUser(t, mallory, func() {
			var err error
			theirs, err = os.Open(file)
			require.NoError(t, err)
		})
		defer theirs.Close()
		require.NoError(t, unix.Flock(int(theirs.Fd()), unix.LOCK_SH))
		err := l.TryLock()
		require.ErrorIs(t, err, filelock.ErrLocked)
		var busy *filelock.BusyError
		require.ErrorAs(t, err, &busy)
		require.True(t, busy.Holder.FlockPeer)
		require.NoError(t, theirs.Close())
		require.NoError(t, l.TryLock())
		require.NoError(t, l.Unlock())
	})
	t.Run("one that is made is for its user alone", func(t *testing.T) {
		_, file, l := with(t, 0o755)
		acquire(t, l)
		asUser(t, mallory, func() {
			_, err := os.Open(file)
			require.ErrorIs(t, err, os.ErrPermission)
		})
		require.NoError(t, l.Unlock())
	})
	t.Run("who may remove it lets peers in, and none of ours", func(t *testing.T) {
		path, file, l := with(t, 0o777)
		acquire(t, l)
		asUser(t, mallory, func() { require.NoError(t, os.Remove(file)) })
		requireFlock(t, file, nil)
		other := newLock(t, path, filelock.WithFlockPeersFile(file))
		other.OwnLine()
		require.ErrorIs(t, other.TryLock(), filelock.ErrLocked)
		require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	})
	t.Run("who may put a link in its place has a file made elsewhere", func(t *testing.T) {
		_, file, l := with(t, 0o777)
		made := filepath.Join(t.TempDir(), "made")
		asUser(t, mallory, func() { require.NoError(t, os.Symlink(made, file)) })
		acquire(t, l)
		require.NoError(t, l.Unlock())
		info, err := os.Stat(made)
		require.NoError(t, err, "should it be refused by now, SECURITY.md is to say so")
		require.Zero(t, info.Size())
		require.Equal(t, os.FileMode(0o600), info.Mode())
	})
	t.Run("what a link leads to is not changed", func(t *testing.T) {
		_, file, l := with(t, 0o777)
		there := filepath.Join(t.TempDir(), "there")
		require.NoError(t, os.WriteFile(there, []byte("content"), 0o640))
		before, err := os.Stat(there)
		require.NoError(t, err)
		asUser(t, mallory, func() { require.NoError(t, os.Symlink(there, file)) })
		acquire(t, l)
		require.NoError(t, l.Unlock())
		after, err := os.Stat(there)
		require.NoError(t, err)
		require.Equal(t, before, after)
		content, err := os.ReadFile(there)
		require.NoError(t, err)
		require.Equal(t, "content", string(content))
	})
}
