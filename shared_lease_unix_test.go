//go:build unix

package filelock_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestSharedLease: all who share a ticket learn that it is lost.
func TestSharedLease(t *testing.T) {
	path := target(t)
	l := newLock(t, path, filelock.WithLease(time.Second), filelock.WithBatch(time.Hour))
	require.NoError(t, l.AcquireShared(t.Context()))
	require.NoError(t, l.AcquireShared(t.Context()))
	all := tickets(t, filepath.Dir(path))
	require.Len(t, all, 1, "they share it")
	require.Contains(t, all[0], "-s1.pid")
	lost := l.Lost()
	require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), all[0])))
	select {
	case <-lost:
	case <-time.After(stuck):
		require.Fail(t, "it was not noticed")
	}
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	require.NoError(t, l.AcquireShared(t.Context()), "with another ticket")
	require.NoError(t, l.Unlock())
}

// TestSharedLost: without a lease nobody watches the ticket, and yet whoever gives it back
// after somebody has removed it learns that, and who gave it back before does not.
func TestSharedLost(t *testing.T) {
	for name, opts := range map[string][]filelock.Option{"plain": nil, "reentrant": {filelock.WithReentrant()}} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			var readers []*filelock.FileLock
			for range 4 {
				l := newLock(t, path, append(opts, filelock.WithBatch(time.Hour))...)
				require.NoError(t, l.AcquireShared(filelock.ContextWithOwner(t.Context())))
				readers = append(readers, l)
			}
			all := tickets(t, filepath.Dir(path))
			require.Len(t, all, 1, "they share it")
			require.NoError(t, readers[0].Unlock())
			require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), all[0])))
			for _, l := range readers[1:] {
				require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
				require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
			}
			l := newLock(t, path)
			require.NoError(t, l.TryLock(), "nobody is inside any more")
			require.NoError(t, l.Unlock())
		})
	}
}
