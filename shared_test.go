package filelock_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// kind is how to acquire.
type kind struct {
	name    string
	acquire func(*filelock.FileLock, context.Context) error
	try     func(*filelock.FileLock) error
	tryFor  func(*filelock.FileLock, context.Context) error
	do      func(*filelock.FileLock, context.Context, func(context.Context) error) error
	hold    func(*filelock.FileLock, context.Context) (func() error, error)
}

var (
	reading = kind{
		"shared", (*filelock.FileLock).AcquireShared, (*filelock.FileLock).TryLockShared,
		(*filelock.FileLock).TryAcquireShared, (*filelock.FileLock).DoShared, (*filelock.FileLock).HoldShared,
	}
	writing = kind{
		"exclusive", (*filelock.FileLock).Acquire, (*filelock.FileLock).TryLock,
		(*filelock.FileLock).TryAcquire, (*filelock.FileLock).Do, (*filelock.FileLock).Hold,
	}
)

// lockOwners make locks on a path that are used as if each were in a process of its
// own, or all in one.
var lockOwners = map[string]func(t *testing.T, path string, opts ...filelock.Option) *filelock.FileLock{
	"goroutines": func(t *testing.T, path string, opts ...filelock.Option) *filelock.FileLock {
		return newLock(t, path, opts...)
	},
	"processes": func(t *testing.T, path string, opts ...filelock.Option) *filelock.FileLock {
		l := newLock(t, path, opts...)
		l.OwnLine()
		return l
	},
}

func onEachOwner(t *testing.T, f func(t *testing.T, dir string, lock func(opts ...filelock.Option) *filelock.FileLock)) {
	for name, owner := range lockOwners {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				f(t, dir, func(opts ...filelock.Option) *filelock.FileLock {
					return owner(t, filepath.Join(dir, "target"), opts...)
				})
			})
		})
	}
}

// TestSharedTogether: readers are inside together, a writer waits for all of them, and
// readers that come after it wait for it.
func TestSharedTogether(t *testing.T) {
	onEachOwner(t, func(t *testing.T, dir string, lock func(...filelock.Option) *filelock.FileLock) {
		early, late := lock(), lock(filelock.WithBatch(0)) // which does not join the first
		require.NoError(t, early.AcquireShared(t.Context()))
		require.NoError(t, late.AcquireShared(t.Context()))
		require.NoError(t, late.TryLockShared())

		writer, reader := lock(), lock()
		written := start(func() error { return writer.Acquire(t.Context()) })
		requireBlocks(t, written)
		read := start(func() error { return reader.AcquireShared(t.Context()) })
		requireBlocks(t, read)
		require.ErrorIs(t, lock().TryLockShared(), filelock.ErrLocked, "it must not jump the writer")
		require.ErrorIs(t, lock().TryLock(), filelock.ErrLocked)

		require.NoError(t, early.Unlock())
		require.NoError(t, late.Unlock())
		requireBlocks(t, written)
		require.NoError(t, late.Unlock())
		require.NoError(t, result(t, written))
		requireBlocks(t, read)
		require.NoError(t, writer.Unlock())
		require.NoError(t, result(t, read))
		require.NoError(t, reader.Unlock())
		require.ErrorIs(t, reader.Unlock(), filelock.ErrNotLocked)
		requireNoTickets(t, dir)
	})
}
