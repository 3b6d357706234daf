package filelock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

func TestReentrant(t *testing.T) {
	path := target(t)
	dir := filepath.Dir(path)
	a := newLock(t, path, filelock.WithReentrant())
	b := newLock(t, path, filelock.WithReentrant())
	other := newLock(t, path)
	me := filelock.ContextWithOwner(t.Context())

	require.NoError(t, a.Acquire(me))
	require.NoError(t, a.Acquire(me), "nested")
	require.NoError(t, b.Acquire(me), "through another FileLock")
	require.NoError(t, result(t, start(func() error { return b.TryAcquire(me) })), "in another goroutine")
	require.Len(t, tickets(t, dir), 1)

	someone := filelock.ContextWithOwner(t.Context())
	require.ErrorIs(t, b.TryAcquire(someone), filelock.ErrLocked)
	waiting := start(func() error { return other.Acquire(filelock.ContextWithOwner(t.Context())) })
	eventually(t, "the other owner waits", func() bool { return other.Waiting() == 1 })

	// Failures leave the count as it is.
	require.ErrorIs(t, other.Acquire(me), filelock.ErrDeadlock)
	require.ErrorIs(t, a.Acquire(t.Context()), filelock.ErrNoOwner)
	require.ErrorIs(t, a.Acquire(filelock.ContextWithoutOwner(me)), filelock.ErrNoOwner)
	cancelled, cancel := context.WithCancel(me)
	cancel()
	require.ErrorIs(t, a.Acquire(cancelled), context.Canceled)

	for _, l := range []*filelock.FileLock{b, a, a} {
		require.NoError(t, l.Unlock())
		requireBlocks(t, waiting)
	}
	require.False(t, a.Held())
	require.ErrorIs(t, a.Unlock(), filelock.ErrNotLocked, "a has given back what it took")
	require.True(t, b.Held())
	require.NoError(t, b.Unlock())
	require.NoError(t, result(t, waiting))
	require.NoError(t, other.Unlock())
	requireNoTickets(t, dir)
}

func TestReentrantNeedsAnOwner(t *testing.T) {
	l := newLock(t, target(t), filelock.WithReentrant())
	require.ErrorIs(t, l.Acquire(t.Context()), filelock.ErrNoOwner)
	require.ErrorIs(t, l.TryLock(), filelock.ErrNoOwner)
	require.False(t, l.Held())

	// Do names one for what it calls.
	require.NoError(t, l.Do(t.Context(), func(ctx context.Context) error {
		return l.Do(ctx, func(context.Context) error { return nil })
	}))
	plain := newLock(t, target(t))
	require.ErrorIs(t, plain.Do(t.Context(), func(ctx context.Context) error { return plain.Acquire(ctx) }), filelock.ErrDeadlock)
}

func TestDeadlockIsRefusedAtOnce(t *testing.T) {
	path := target(t)
	a, b := newLock(t, path), newLock(t, path)
	me := filelock.ContextWithOwner(t.Context())
	err := a.Do(me, func(me context.Context) error {
		require.ErrorIs(t, a.Acquire(me), filelock.ErrDeadlock)
		require.ErrorIs(t, b.Acquire(me), filelock.ErrDeadlock, "through another FileLock")
		require.ErrorIs(t, b.TryAcquire(me), filelock.ErrLocked, "a try cannot deadlock")
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, b.Do(me, func(context.Context) error { return nil }), "free again")
}

// TestOwnTryIsBehindOne: the error counts the owner's own hold.
func TestOwnTryIsBehindOne(t *testing.T) {
	l := newLock(t, target(t))
	me := filelock.ContextWithOwner(t.Context())
	require.NoError(t, l.Acquire(me))
	var busy *filelock.BusyError
	require.ErrorAs(t, l.TryAcquire(me), &busy)
	require.Equal(t, 1, busy.Ahead)
	require.NoError(t, l.Unlock())
}

// TestOwnerOfWhatIsLost: an owner that has lost the lock cannot come in again by
// that, and learns of it; until it has given back all that it held.
func TestOwnerOfWhatIsLost(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]filelock.Option{
		"reentrant": {filelock.WithReentrant()},
		"not":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			l := newLock(t, path, append(opts, filelock.WithLease(time.Second))...)
			me := filelock.ContextWithOwner(t.Context())
			require.NoError(t, l.Acquire(me))
			held := 1
			if opts != nil {
				require.NoError(t, l.Acquire(me))
				held++
			}
			for _, name := range tickets(t, filepath.Dir(path)) {
				require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), name)))
			}
			eventually(t, "the loss", func() bool { return !l.Held() })
			require.ErrorIs(t, l.Acquire(me), filelock.ErrLost)
			require.ErrorIs(t, l.TryAcquire(me), filelock.ErrLost)
			for range held {
				require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
			}
			require.NoError(t, l.Acquire(me))
			require.NoError(t, l.Unlock())
		})
	}
}

// TestHoldsAreNotShared: one who waits has nothing to do with what another one
// holds, nor one who acquires with what was given back before.
func TestHoldsAreNotShared(t *testing.T) {
	l := newLock(t, target(t))
	acquire(t, l)
	require.NoError(t, l.Unlock())
	acquire(t, l)
	next := start(func() error { return l.Acquire(t.Context()) })
	eventually(t, "the wait", func() bool { return l.Waiting() == 1 })
	require.True(t, l.Held())
	require.NoError(t, l.Unlock())
	require.NoError(t, result(t, next))
	require.NoError(t, l.Unlock())

	release, err := l.Hold(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Unlock())
	acquire(t, l)
	require.ErrorIs(t, release(), filelock.ErrNotLocked, "it is another one's by now")
	require.True(t, l.Held())
	require.NoError(t, l.Unlock())
}

// TestOwnerArrivesTwiceAtOnce: of two goroutines of one owner that come while
// another owner holds, the second shares what the first gets, even though the
// first does not give it back before.
func TestOwnerArrivesTwiceAtOnce(t *testing.T) {
	path := target(t)
	holder := newLock(t, path)
	acquire(t, holder)
	l := newLock(t, path, filelock.WithReentrant())
	me := filelock.ContextWithOwner(t.Context())
	first := start(func() error { return l.Acquire(me) })
	second := start(func() error { return l.Acquire(me) })
	requireBlocks(t, first)
	requireBlocks(t, second)
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, first))
	require.NoError(t, result(t, second))
	require.NoError(t, l.Unlock())
	require.True(t, l.Held())
	require.NoError(t, l.Unlock())
	require.False(t, l.Held())
}

func TestOwnerSurvivesAFailedArrival(t *testing.T) {
	path := target(t)
	holder := newLock(t, path)
	acquire(t, holder)
	l := newLock(t, path, filelock.WithReentrant())
	me := filelock.ContextWithOwner(t.Context())
	ctx, cancel := context.WithCancel(me)
	first := start(func() error { return l.Acquire(ctx) })
	eventually(t, "the first one waits", func() bool { return l.Waiting() == 1 })
	second := start(func() error { return l.Acquire(me) })
	requireBlocks(t, second)
	cancel()
	require.ErrorIs(t, result(t, first), context.Canceled)
	requireBlocks(t, second)
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, second))
	require.NoError(t, l.Unlock())
}

func TestHoldReleasesExactlyOnce(t *testing.T) {
	path := target(t)
	l := newLock(t, path, filelock.WithReentrant())
	me := filelock.ContextWithOwner(t.Context())
	outer, err := l.Hold(me)
	require.NoError(t, err)
	inner, err := l.Hold(me)
	require.NoError(t, err)
	require.NoError(t, inner())
	require.NoError(t, inner(), "again")
	require.True(t, l.Held(), "the outer hold stays")
	require.NoError(t, outer())
	require.False(t, l.Held())
	require.NoError(t, outer())

	taken, err := l.Hold(me)
	require.NoError(t, err)
	require.NoError(t, l.Unlock())
	require.NoError(t, l.Acquire(me))
	require.ErrorIs(t, taken(), filelock.ErrNotLocked, "it does not give back what another call took")
	require.True(t, l.Held())
	require.NoError(t, l.Unlock())
}

// requireRefusedAtOnce requires that AcquireAll refuses l to who holds it already, and
// does not wait for another lock before it says so.
func requireRefusedAtOnce(t *testing.T, ctx context.Context, l *filelock.FileLock) {
	t.Helper()
	first := newLock(t, filepath.Join(filepath.Dir(l.Path()), "0"))
	acquire(t, first)
	err := result(t, start(func() error { _, err := filelock.AcquireAll(ctx, l, first); return err }))
	require.ErrorIs(t, err, filelock.ErrDeadlock)
	require.ErrorContains(t, err, l.Path())
	require.NoError(t, first.Unlock())
}

// TestOwnerIsToExcludeMore: one hold more would not exclude the peers that the second
// acquisition is told to exclude. The other way round it excludes more than it has to.
func TestOwnerIsToExcludeMore(t *testing.T) {
	path := target(t)
	me := filelock.ContextWithOwner(t.Context())
	without := newLock(t, path, filelock.WithReentrant())
	with := newLock(t, path, filelock.WithReentrant(), filelock.WithPlainPeers())
	require.NoError(t, without.Acquire(me))
	err := with.Acquire(me)
	require.ErrorIs(t, err, filelock.ErrDeadlock)
	require.ErrorContains(t, err, "WithPlainPeers")
	require.ErrorIs(t, with.TryAcquire(me), filelock.ErrLocked)
	requireRefusedAtOnce(t, me, with)
	require.NoError(t, without.Unlock())
	require.NoError(t, with.Acquire(me))
	require.NoError(t, without.Acquire(me))
	require.NoError(t, with.Acquire(me))
	for _, l := range []*filelock.FileLock{with, without, with} {
		require.NoError(t, l.Unlock())
	}
	requireNoTickets(t, filepath.Dir(path))
}

func TestDo(t *testing.T) {
	l := newLock(t, target(t))
	errInside := errors.New("inside")
	require.ErrorIs(t, l.Do(t.Context(), func(context.Context) error {
		require.True(t, l.Held())
		return errInside
	}), errInside)
	require.False(t, l.Held())
	require.PanicsWithValue(t, "inside", func() {
		l.Do(t.Context(), func(context.Context) error { panic("inside") })
	})
	require.False(t, l.Held(), "a panic releases")
	require.NoError(t, l.TryLock())
	require.NoError(t, l.Unlock())
}

// TestOwnerWaitsTwice: an owner that waits in two goroutines is served in both,
// and is known as the holder in each.
func TestOwnerWaitsTwice(t *testing.T) {
	path := target(t)
	l := newLock(t, path)
	acquire(t, l)
	me := filelock.ContextWithOwner(t.Context())
	first := start(func() error { return l.Acquire(me) })
	eventually(t, "the first one waits", func() bool { return l.Waiting() == 1 })
	second := start(func() error { return l.Acquire(me) })
	eventually(t, "the second one waits", func() bool { return l.Waiting() == 2 })
	require.NoError(t, l.Unlock())
	require.NoError(t, result(t, first))
	require.ErrorIs(t, l.Acquire(me), filelock.ErrDeadlock)
	require.NoError(t, l.Unlock())
	require.NoError(t, result(t, second))
	require.ErrorIs(t, l.Acquire(me), filelock.ErrDeadlock)
	require.NoError(t, l.Unlock())
}
