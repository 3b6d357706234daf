package filelock_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestWhoIsInTheWay: the error of a reader names a writer, that of a writer whoever is
// inside.
func TestWhoIsInTheWay(t *testing.T) {
	path := target(t)
	lock := func() *filelock.FileLock {
		l := newLock(t, path)
		l.OwnLine()
		return l
	}
	first, second, writer := lock(), lock(), lock()
	require.NoError(t, first.AcquireShared(t.Context()))
	require.NoError(t, second.AcquireShared(t.Context()))

	var busy *filelock.BusyError
	require.ErrorAs(t, lock().TryLock(), &busy)
	require.Equal(t, "try", busy.Op)
	require.True(t, busy.Holder.Shared)
	require.Equal(t, filelock.Inside, busy.Holder.State)
	require.Contains(t, busy.Error(), "held by this process")

	written := start(func() error { return writer.Acquire(t.Context()) })
	settled(t, path, 3)
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	require.Len(t, q.Tickets, 3)
	require.Equal(t, q.Tickets[:2], q.Holders(), "both readers")

	for _, err := range []error{lock().TryLockShared(), func() error {
		l := newLock(t, path, filelock.WithTimeout(mustBlock))
		l.OwnLine()
		return l.AcquireShared(t.Context())
	}()} {
		busy = nil
		require.ErrorAs(t, err, &busy)
		require.Contains(t, busy.Op, " shared")
		require.Equal(t, q.Tickets[2].Path, busy.Holder.Path, "the writer that waits, and not the readers inside")
		require.Equal(t, filelock.Alive, busy.Holder.State)
		require.Equal(t, 1, busy.Ahead)
		require.Contains(t, busy.Error(), "the next writer is this process")
	}

	require.NoError(t, first.Unlock())
	require.NoError(t, second.Unlock())
	require.NoError(t, result(t, written))
	require.ErrorAs(t, lock().TryLockShared(), &busy)
	require.Equal(t, filelock.Inside, busy.Holder.State)
	require.Contains(t, busy.Error(), "held by this process")
	require.NoError(t, writer.Unlock())

	q, err = filelock.Inspect(path)
	require.NoError(t, err)
	require.Empty(t, q.Holders())
}
