package filelock_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestSharedIsCancelled: a wait of either kind ends when its context does, and leaves
// nothing; a context that is done loses even if the lock is free.
func TestSharedIsCancelled(t *testing.T) {
	onEachOwner(t, func(t *testing.T, dir string, lock func(...filelock.Option) *filelock.FileLock) {
		for _, tt := range []struct{ inside, waits kind }{{writing, reading}, {reading, writing}} {
			holder, waiter, timed := lock(), lock(), lock(filelock.WithTimeout(mustBlock))
			done, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, tt.waits.acquire(waiter, done), context.Canceled)
			require.NoError(t, tt.inside.acquire(holder, t.Context()))
			require.ErrorIs(t, tt.waits.acquire(timed, t.Context()), filelock.ErrTimeout)

			ctx, cancel := context.WithCancel(t.Context())
			waits := start(func() error { return tt.waits.acquire(waiter, ctx) })
			requireBlocks(t, waits)
			cancel()
			require.ErrorIs(t, result(t, waits), context.Canceled)
			require.NoError(t, holder.Unlock())
			requireNoTickets(t, dir)
		}
	})
}

// TestReaderBehindWriterThatGivesUp: it comes in beside the readers inside as soon as
// the writer has given up, and not only when they leave.
func TestReaderBehindWriterThatGivesUp(t *testing.T) {
	onEachOwner(t, func(t *testing.T, _ string, lock func(...filelock.Option) *filelock.FileLock) {
		holder, writer, reader := lock(), lock(), lock()
		require.NoError(t, holder.AcquireShared(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		written := start(func() error { return writer.Acquire(ctx) })
		requireBlocks(t, written)
		read := start(func() error { return reader.AcquireShared(t.Context()) })
		requireBlocks(t, read)
		cancel()
		require.ErrorIs(t, result(t, written), context.Canceled)
		require.NoError(t, result(t, read))
		require.NoError(t, reader.Unlock())
		require.NoError(t, holder.Unlock())
	})
}
