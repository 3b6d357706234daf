package cli

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine/memengine"
)

// inMemory is a connection to a service in memory.
type inMemory struct{ *memengine.Engine }

func (inMemory) Close(context.Context) error { return nil }

func newMemoryLock(t *testing.T, s *memengine.Service, lease time.Duration) (*filelock.FileLock, *memengine.Engine, *careful) {
	t.Helper()
	e := s.Engine()
	c := newCareful(inMemory{e})
	l, err := filelock.New("name", filelock.WithEngine(c), filelock.WithLease(lease))
	require.NoError(t, err)
	return l, e, c
}

// TestCarefulIsTold: who is cut off is told that the lock is lost while the service
// keeps it, by the time that is reserved for the end of a command.
func TestCarefulIsTold(t *testing.T) {
	for _, tt := range []struct{ lease, reserve time.Duration }{
		{20 * time.Second, killGrace},
		{4 * time.Second, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var s memengine.Service
			l, e, c := newMemoryLock(t, &s, tt.lease)
			require.NoError(t, l.Acquire(t.Context()))
			time.Sleep(10 * tt.lease)
			require.True(t, l.Held(), "it is renewed")
			e.Break(memengine.Cut)
			<-l.Lost()
			told := time.Now()
			require.Equal(t, tt.reserve-tt.reserve/10, c.left(sinceAtMost))
			next, _, _ := newMemoryLock(t, &s, tt.lease)
			require.NoError(t, next.Acquire(t.Context()))
			require.Equal(t, tt.reserve, time.Since(told))
			require.Negative(t, c.left(sinceAtMost))
			require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
			require.NoError(t, next.Unlock())
			e.Break(memengine.None)
			synctest.Wait()
		})
	}
}

// TestCarefulCloses: what a wait that was ended has left in the queue is gone when the
// connection is closed, though the service is slow.
func TestCarefulCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s memengine.Service
		holder, _, _ := newMemoryLock(t, &s, 20*time.Second)
		require.NoError(t, holder.Acquire(t.Context()))
		l, e, c := newMemoryLock(t, &s, 20*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.AfterFunc(time.Second/2, func() { e.Delay(time.Second / 4) })
		require.ErrorIs(t, l.Acquire(ctx), context.DeadlineExceeded)
		require.Equal(t, 2, s.Queued("name"), "it has not left yet")
		require.NoError(t, c.Close(t.Context()))
		require.Equal(t, 1, s.Queued("name"))

		// It waits no longer than it may.
		e.Delay(0)
		again, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.AfterFunc(time.Second/2, func() { e.Break(memengine.Cut) })
		require.Error(t, l.Acquire(again))
		began := time.Now()
		closing, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, c.Close(closing))
		require.Equal(t, time.Second, time.Since(began))
		e.Break(memengine.None)
		require.NoError(t, holder.Unlock())
		synctest.Wait()
	})
}
