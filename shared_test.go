package filelock_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
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
}

var (
	reading = kind{
		"shared", (*filelock.FileLock).AcquireShared, (*filelock.FileLock).TryLockShared, (*filelock.FileLock).TryAcquireShared,
	}
	writing = kind{
		"exclusive", (*filelock.FileLock).Acquire, (*filelock.FileLock).TryLock, (*filelock.FileLock).TryAcquire,
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

// TestTriesAtOnce: of readers that try a free lock at once all succeed. Of readers and
// writers somebody does: one writer, or readers.
func TestTriesAtOnce(t *testing.T) {
	const tries, rounds = 16, 20
	for name, writers := range map[string]int{"readers": 0, "mixed": tries / 4} {
		t.Run(name, func(t *testing.T) {
			onEachOwner(t, func(t *testing.T, dir string, lock func(...filelock.Option) *filelock.FileLock) {
				var locks []*filelock.FileLock
				for range tries {
					locks = append(locks, lock())
				}
				for range rounds {
					errs := make([]error, tries)
					start := make(chan struct{})
					var done sync.WaitGroup
					for i, l := range locks {
						as := reading
						if i < writers {
							as = writing
						}
						done.Go(func() {
							<-start
							errs[i] = as.try(l)
						})
					}
					close(start)
					done.Wait()
					written, read := 0, 0
					for i, err := range errs {
						switch {
						case err != nil:
							require.ErrorIs(t, err, filelock.ErrLocked)
							continue
						case i < writers:
							written++
						default:
							read++
						}
						require.NoError(t, locks[i].Unlock())
					}
					if writers == 0 {
						require.Equal(t, tries, read)
					} else if written > 0 {
						require.Equal(t, 1, written)
						require.Zero(t, read)
					} else {
						require.NotZero(t, read)
					}
				}
				requireNoTickets(t, dir)
			})
		})
	}
}

// TestPlainPeersAmongReaders: a plain ticket excludes readers, and these, sunk, share.
func TestPlainPeersAmongReaders(t *testing.T) {
	path := target(t)
	a, b := newLock(t, path, filelock.WithPlainPeers()), newLock(t, path, filelock.WithPlainPeers())
	b.OwnLine()
	require.NoError(t, a.AcquireShared(t.Context()))
	require.NoError(t, b.AcquireShared(t.Context()))
	require.NoError(t, b.Unlock())

	self := identity()
	plain := filepath.Join(filepath.Dir(path), fmt.Sprintf("target.lock.%s.%d.%064x.pid", self.RawHost, self.PID, 1))
	require.NoError(t, os.WriteFile(plain, nil, 0o644))
	read := start(func() error { return b.AcquireShared(t.Context()) })
	requireBlocks(t, read)
	require.NoError(t, os.Remove(plain))
	require.NoError(t, result(t, read))
	require.NoError(t, b.Unlock())
	require.NoError(t, a.Unlock())
}
