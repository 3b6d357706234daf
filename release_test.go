//go:build unix

package filelock_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestUnlockFromMany: each call of Unlock takes one hold, however many are made
// at once.
func TestUnlockFromMany(t *testing.T) {
	t.Parallel()
	const holds, rounds = 64, 3000
	l := newLock(t, target(t), filelock.WithReentrant())
	ctx := filelock.ContextWithOwner(t.Context())
	for range rounds {
		for range holds {
			require.NoError(t, l.Acquire(ctx))
		}
		var failed atomic.Int64
		var unlocking sync.WaitGroup
		for range holds {
			unlocking.Go(func() {
				if l.Unlock() != nil {
					failed.Add(1)
				}
			})
		}
		unlocking.Wait()
		require.Zero(t, failed.Load(), "as many were held")
		require.False(t, l.Held())
		require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
	}
	requireNoTickets(t, filepath.Dir(l.Path()))
}

// lateContext is done as soon as somebody asks, once it has ended. Nobody is told.
type lateContext struct {
	context.Context
	ended atomic.Bool
}

func (c *lateContext) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return c.Context.Err()
}

// TestFailedRelease: a ticket that cannot be removed keeps nobody out and
// nothing held, whoever wanted to leave. It is removed as soon as it can be, with
// nobody asking for it.
func TestFailedRelease(t *testing.T) {
	const (
		twice = 2 // its own, and the first one in the background
		often = 5 // for so long that the next one has to see to it
	)
	for name, release := range map[string]func(t *testing.T, l *filelock.FileLock, refusals int, queue func()) error{
		"Unlock": func(t *testing.T, l *filelock.FileLock, refusals int, queue func()) error {
			require.NoError(t, filelock.RefuseRemovals(l.TryLock, refusals))
			queue()
			return l.Unlock()
		},
		"Do": func(t *testing.T, l *filelock.FileLock, refusals int, queue func()) error {
			leave, left := make(chan bool), make(chan error, 1)
			err := filelock.RefuseRemovals(func() error {
				entered := make(chan bool)
				go func() {
					left <- l.Do(context.Background(), func(context.Context) error {
						close(entered)
						<-leave
						return nil
					})
				}()
				<-entered
				return nil
			}, refusals)
			require.NoError(t, err)
			queue()
			close(leave)
			return result(t, left)
		},
		// It gets the lock from the one before it, and does not want it any more.
		"declined": func(t *testing.T, l *filelock.FileLock, refusals int, queue func()) error {
			require.NoError(t, filelock.RefuseRemovals(l.TryLock, refusals))
			ctx := &lateContext{Context: context.Background()}
			declined := start(func() error { return l.Acquire(ctx) })
			eventually(t, "the line", func() bool { return l.Waiting() == 1 })
			queue()
			ctx.ended.Store(true)
			require.NoError(t, l.Unlock())
			require.ErrorIs(t, result(t, declined), context.Canceled)
			return syscall.EIO // of which nobody is told
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			l := newLock(t, path, filelock.WithBatch(time.Hour), filelock.WithLinger(0))
			other := newLock(t, path)
			other.OwnLine()
			refusals := twice
			if name == "Unlock" {
				refusals = often
			}
			var entered <-chan error
			err := release(t, l, refusals, func() {
				entered = start(func() error { return other.Acquire(context.Background()) })
				settled(t, path, 2)
				requireBlocks(t, entered)
			})
			began := time.Now()
			require.ErrorIs(t, err, syscall.EIO)
			require.False(t, l.Held())
			require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
			require.NoError(t, result(t, entered))
			t.Logf("%v; another waiter had the lock %v later", err, time.Since(began).Round(time.Millisecond))
			require.Less(t, time.Since(began), 3*time.Second)
			require.NoError(t, other.Unlock())
			eventually(t, "the removal", func() bool { return len(tickets(t, filepath.Dir(path))) == 0 })
			// And l works as before. Where nobody else comes, its owner removes what it
			// could not remove at once.
			require.ErrorIs(t, release(t, l, twice, func() {}), syscall.EIO)
			eventually(t, "the removal", func() bool { return len(tickets(t, filepath.Dir(path))) == 0 })
		})
	}
}

// TestErrorOfEarlierAttempt: an attempt that failed, and left a ticket that could
// not be removed at once, has nothing to do with the next one.
func TestErrorOfEarlierAttempt(t *testing.T) {
	path := target(t)
	l := newLock(t, path)
	require.ErrorIs(t, filelock.RefuseSettle(func() error { return l.Acquire(t.Context()) }), syscall.EIO)
	require.False(t, l.Held())
	began := time.Now()
	for range 3 {
		acquire(t, l)
		require.NoError(t, l.Unlock())
	}
	t.Logf("three acquisitions after one that failed took %v", time.Since(began).Round(time.Millisecond))
	eventually(t, "the removal", func() bool { return len(tickets(t, filepath.Dir(path))) == 0 })
}
