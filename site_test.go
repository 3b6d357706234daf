package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestLinesAreForgotten: a process that makes locks with ever new labels, or for peers of
// ever new files, keeps nothing of those that it uses no more.
func TestLinesAreForgotten(t *testing.T) {
	path := target(t)
	l := newLock(t, path)
	const n = 100
	peers := filelock.PeerFiles()
	for i := range n {
		opts := []filelock.Option{filelock.WithLabel(fmt.Sprint("job ", i))}
		if i%2 == 0 {
			opts = append(opts, filelock.WithFlockPeersFile(fmt.Sprint(path, i)))
		}
		once, err := filelock.New(path, opts...)
		if errors.Is(err, errors.ErrUnsupported) {
			once, err = filelock.New(path, opts[0]) // there are no peers here
		}
		require.NoError(t, err)
		require.NoError(t, once.TryLock())
		require.NoError(t, once.Unlock())
		require.NoError(t, once.Close())
	}
	require.Greater(t, l.Lines(), 1)
	eventually(t, "oblivion", func() bool {
		runtime.GC()
		return l.Lines() == 1 && filelock.PeerFiles() <= peers
	})
	require.NoError(t, l.TryLock()) // so that it is in use until here
	require.NoError(t, l.Unlock())
}

// TestLookingMakesNoLine: nobody waits by an inspection.
func TestLookingMakesNoLine(t *testing.T) {
	path := target(t)
	l := newLock(t, path)
	acquire(t, l)
	label := filelock.WithLabel("onlooker")
	q, err := filelock.Inspect(path, label)
	require.NoError(t, err)
	require.Len(t, q.Tickets, 1)
	_, err = filelock.Reap(path, label)
	require.NoError(t, err)
	_, err = filelock.Evict(path, q.Tickets[0].Path, label)
	require.ErrorIs(t, err, filelock.ErrInside)
	require.Equal(t, 1, l.Lines())
	require.NoError(t, l.Unlock())
}

// TestLineInUseStays: whatever is collected meanwhile, a line stays while somebody waits
// in it or can give back a lock to it: those who come later get in line behind them, with
// no ticket of their own.
func TestLineInUseStays(t *testing.T) {
	const waiters = 3
	path := target(t)
	lock := func() *filelock.FileLock { return newLock(t, path, filelock.WithLabel("job")) }
	collect := func() {
		for range 3 {
			runtime.GC()
		}
		lock().ForgetLines() // as the cleanups of earlier lines do, late
	}
	release, err := lock().Hold(t.Context())
	require.NoError(t, err)
	var order []int
	var done []<-chan error
	for i := range waiters {
		collect()
		l := lock()
		done = append(done, start(func() error {
			release, err := l.Hold(t.Context())
			if err != nil {
				return err
			}
			order = append(order, i)
			return release()
		}))
		eventually(t, "the wait", func() bool { return lock().Waiting() == i+1 })
	}
	require.Len(t, tickets(t, filepath.Dir(path)), 1)
	collect()
	require.ErrorIs(t, lock().TryLock(), filelock.ErrLocked)
	require.NoError(t, release())
	for _, c := range done {
		require.NoError(t, result(t, c))
	}
	require.True(t, slices.IsSorted(order), order)
	requireNoTickets(t, filepath.Dir(path))
}

// TestNamelessHolds: of what is held, that is counted which nobody named holds, for as
// long as it is held.
func TestNamelessHolds(t *testing.T) {
	l := newLock(t, target(t))
	held := func(want int) {
		t.Helper()
		require.Equal(t, want, l.NamelessHolds())
	}
	acquire(t, l)
	held(1)
	require.ErrorIs(t, l.TryLock(), filelock.ErrLocked)
	held(1)
	require.NoError(t, l.Unlock())
	held(0)

	for i := range 2 {
		require.NoError(t, l.AcquireShared(t.Context()))
		held(i + 1)
	}
	for i := range 2 {
		require.NoError(t, l.Unlock())
		held(1 - i)
	}

	release, err := filelock.AcquireAll(t.Context(), l)
	require.NoError(t, err)
	held(1)
	require.NoError(t, release())
	require.NoError(t, release())
	held(0)

	acquire(t, l)
	if err := l.Bequeath(); !errors.Is(err, errors.ErrUnsupported) {
		require.NoError(t, err)
		held(0)
	} else {
		held(1)
		require.NoError(t, l.Unlock())
	}

	me := filelock.ContextWithOwner(t.Context())
	require.NoError(t, l.Acquire(me))
	held(0)
	require.NoError(t, l.Unlock())
	for _, ctx := range []context.Context{me, t.Context()} {
		require.NoError(t, l.Do(ctx, func(context.Context) error { held(0); return nil }))
		held(0)
	}
}

// TestTurns: each turn is counted once, however it is taken and given back or left to
// heirs. One that stays counted has this process look for circles for ever.
func TestTurns(t *testing.T) {
	l := newLock(t, target(t), filelock.WithReentrant())
	before := filelock.Turns()
	turns := func(want int64) {
		t.Helper()
		require.Equal(t, want, filelock.Turns()-before)
	}
	me := filelock.ContextWithOwner(t.Context())
	for range 2 {
		require.NoError(t, l.Acquire(me))
		turns(1)
	}
	require.NoError(t, l.Unlock())
	turns(1)
	require.NoError(t, l.Unlock())
	turns(0)
	require.NoError(t, l.Do(t.Context(), func(context.Context) error { turns(1); return nil }))
	turns(0)
	for _, ctx := range []context.Context{me, t.Context()} {
		l := newLock(t, l.Path())
		require.NoError(t, l.Acquire(ctx))
		turns(1)
		if err := l.Bequeath(); errors.Is(err, errors.ErrUnsupported) {
			require.NoError(t, l.Unlock())
		} else {
			require.NoError(t, err)
		}
		turns(0)
	}
}

// TestTurnIsCountedLast: a look for circles that begins when a turn was counted sees that it
// is held.
//
//  1. waiter  waits and holds nothing; no look is due
//  2. other   gets a turn, and counts it: a look is due
//  3. look    sees nothing that is held, and has no other one made
//  4. other   notes that it holds
func TestTurnIsCountedLast(t *testing.T) {
	path := target(t)
	holder, l := newLock(t, path), newLock(t, path)
	acquire(t, holder)
	before := filelock.Turns() - 1
	o := filelock.NewOwner()
	done := start(func() error { return l.Acquire(o.Context(t.Context())) })
	eventually(t, "the wait", func() bool { return l.Waiting() == 1 })
	thaw := o.Freeze()
	require.NoError(t, holder.Unlock())
	for end := time.Now().Add(mustBlock); time.Now().Before(end); time.Sleep(time.Millisecond) {
		require.Equal(t, before, filelock.Turns())
	}
	thaw()
	require.NoError(t, result(t, done))
	require.Equal(t, before+1, filelock.Turns())
	require.NoError(t, l.Unlock())
}
