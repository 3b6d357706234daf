package filelock_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestKindsOfOneOwner: what happens if an owner that holds the lock acquires it again.
func TestKindsOfOneOwner(t *testing.T) {
	for _, tt := range []struct {
		name         string
		reentrant    bool
		first, again kind
		want         error // nil: one hold more
	}{
		{"shared, shared", true, reading, reading, nil},
		{"exclusive, shared", true, writing, reading, nil},
		{"exclusive, exclusive", true, writing, writing, nil},
		{"shared, exclusive", true, reading, writing, filelock.ErrDeadlock},
		{"shared, shared; not reentrant", false, reading, reading, filelock.ErrDeadlock},
		{"exclusive, shared; not reentrant", false, writing, reading, filelock.ErrDeadlock},
		{"shared, exclusive; not reentrant", false, reading, writing, filelock.ErrDeadlock},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opts []filelock.Option
			if tt.reentrant {
				opts = append(opts, filelock.WithReentrant())
			}
			path := target(t)
			l, other := newLock(t, path, opts...), newLock(t, path)
			me := filelock.ContextWithOwner(t.Context())
			require.NoError(t, tt.first.acquire(l, me))
			err := result(t, start(func() error { return tt.again.acquire(l, me) }))
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
				require.ErrorIs(t, tt.again.tryFor(l, me), filelock.ErrLocked)
				require.NoError(t, l.Unlock())
				require.NoError(t, tt.again.acquire(l, me), "once it is given back")
				require.NoError(t, l.Unlock())
				return
			}
			require.NoError(t, err)
			require.NoError(t, tt.again.tryFor(l, me))
			// It is of the first kind still, however many holds there are.
			beside := other.TryLockShared()
			if tt.first.name == reading.name {
				require.NoError(t, beside)
				require.NoError(t, other.Unlock())
			} else {
				require.ErrorIs(t, beside, filelock.ErrLocked)
			}
			require.NoError(t, l.Unlock())
			require.NoError(t, l.Unlock())
			require.ErrorIs(t, other.TryLock(), filelock.ErrLocked)
			require.NoError(t, l.Unlock())
			require.NoError(t, other.TryLock())
			require.NoError(t, other.Unlock())
		})
	}
}

// TestUpgradeOfWhoWaits: an owner that waits to share, in another goroutine, is waited
// for; once it shares, it is in the way of itself.
func TestUpgradeOfWhoWaits(t *testing.T) {
	path := target(t)
	l, other := newLock(t, path, filelock.WithReentrant()), newLock(t, path)
	me := filelock.ContextWithOwner(t.Context())
	acquire(t, other)
	read := start(func() error { return l.AcquireShared(me) })
	eventually(t, "the reader waits", func() bool { return l.Waiting() == 1 })
	written := start(func() error { return l.Acquire(me) })
	requireBlocks(t, written)
	require.NoError(t, other.Unlock())
	require.NoError(t, result(t, read))
	require.ErrorIs(t, result(t, written), filelock.ErrDeadlock)
	require.NoError(t, l.Unlock())
}

// TestDoShared: fn's context names an owner, and the lock is given back; HoldShared's
// release is exact.
func TestDoShared(t *testing.T) {
	l := newLock(t, target(t))
	err := l.DoShared(t.Context(), func(ctx context.Context) error {
		require.True(t, l.Held())
		require.ErrorIs(t, l.Acquire(ctx), filelock.ErrDeadlock)
		return l.DoShared(t.Context(), func(context.Context) error { return nil })
	})
	require.NoError(t, err)
	require.False(t, l.Held())

	first, err := l.HoldShared(t.Context())
	require.NoError(t, err)
	second, err := l.HoldShared(t.Context())
	require.NoError(t, err)
	require.NoError(t, first())
	require.NoError(t, first(), "again")
	require.ErrorIs(t, l.TryLock(), filelock.ErrLocked)
	require.NoError(t, second())
	require.NoError(t, l.TryLock())
	require.NoError(t, l.Unlock())
}
