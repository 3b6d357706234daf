package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// quickly has the waits looked at often.
const quickly = 2 * time.Millisecond

// observed returns a lock whose waits are sent to the channel.
func observed(t testing.TB, path string, opts ...filelock.Option) (*filelock.FileLock, <-chan filelock.Wait) {
	t.Helper()
	waits := make(chan filelock.Wait, 1000)
	opts = append([]filelock.Option{
		filelock.WithPollInterval(quickly), filelock.WithOnWait(func(w filelock.Wait) { waits <- w }),
	}, opts...)
	return newLock(t, path, opts...), waits
}

// requireWait returns the next wait that is told, which must have so many ahead.
func requireWait(t testing.TB, waits <-chan filelock.Wait, ahead int) filelock.Wait {
	t.Helper()
	select {
	case w := <-waits:
		require.Equal(t, ahead, w.Ahead, "%v", w)
		require.Equal(t, ahead+1, w.Position)
		return w
	case <-time.After(stuck):
		t.Fatal("stuck: nothing is told")
		return filelock.Wait{}
	}
}

// awaitAhead waits until it is told that so many are ahead.
func awaitAhead(t testing.TB, waits <-chan filelock.Wait, ahead int) {
	t.Helper()
	for timeout := time.After(stuck); ; {
		select {
		case w := <-waits:
			if w.Ahead == ahead {
				return
			}
			require.Greater(t, w.Ahead, ahead)
		case <-timeout:
			t.Fatalf("stuck: nobody tells of %d ahead", ahead)
		}
	}
}

// TestOnWaitFree: who does not wait is told nothing.
func TestOnWaitFree(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		var calls atomic.Int32
		path := filepath.Join(dir, "target")
		count := filelock.WithOnWait(func(filelock.Wait) { calls.Add(1) })
		for name, opts := range map[string][]filelock.Option{
			"a new ticket each time": {count, filelock.WithLinger(0)},
			"resting":                {count, filelock.WithLinger(time.Hour)},
			"reentrant":              {count, filelock.WithReentrant()},
			"lease":                  {count, filelock.WithLease(time.Minute)},
		} {
			l := newLock(t, path, opts...)
			ctx := filelock.ContextWithOwner(t.Context())
			for range waiters {
				require.NoError(t, l.Acquire(ctx), name)
				if name == "reentrant" {
					require.NoError(t, l.Acquire(ctx))
					require.NoError(t, l.Unlock())
				}
				require.ErrorIs(t, l.TryAcquire(filelock.ContextWithOwner(t.Context())), filelock.ErrLocked, "a try does not wait")
				require.NoError(t, l.Unlock())
				require.NoError(t, l.Do(ctx, func(context.Context) error { return nil }))
			}
			require.NoError(t, l.Close())
		}
		// A ticket that rests is in nobody's way.
		rests, l := newLock(t, path, filelock.WithLinger(time.Hour)), newLock(t, path, count)
		rests.OwnLine()
		for range waiters {
			for range 3 {
				acquire(t, rests)
				require.NoError(t, rests.Unlock())
			}
			acquire(t, l)
			require.NoError(t, l.Unlock())
		}
		require.NoError(t, rests.Close())
		require.Zero(t, calls.Load())
	})
}

// TestOnWait: whatever way it waits, in the holder's line or behind its ticket, the
// caller learns for whom.
func TestOnWait(t *testing.T) {
	nothing := func(context.Context) error { return nil }
	ways := map[string]func(ctx context.Context, l *filelock.FileLock) error{
		"Acquire": func(ctx context.Context, l *filelock.FileLock) error {
			return errors.Join(l.Acquire(ctx), l.Unlock())
		},
		"Hold": func(ctx context.Context, l *filelock.FileLock) error {
			release, err := l.Hold(ctx)
			if err != nil {
				return err
			}
			return release()
		},
		"Do": func(ctx context.Context, l *filelock.FileLock) error { return l.Do(ctx, nothing) },
		"no end": func(_ context.Context, l *filelock.FileLock) error {
			return l.Do(context.Background(), nothing)
		},
	}
	for name, wait := range ways {
		for _, opts := range [][]filelock.Option{nil, {filelock.WithReentrant()}, {filelock.WithLease(time.Minute)}} {
			t.Run(fmt.Sprint(name, len(opts)), func(t *testing.T) {
				path := target(t)
				holder := newLock(t, path, filelock.WithLabel("holder"))
				acquire(t, holder)
				l, waits := observed(t, path, opts...)
				began := time.Now()
				done := start(func() error { return wait(filelock.ContextWithOwner(t.Context()), l) })
				w := requireWait(t, waits, 1)
				require.Equal(t, l.Path(), w.Path)
				require.WithinRange(t, w.Since, began, time.Now())
				require.Equal(t, os.Getpid(), w.Holder.PID)
				require.NotEmpty(t, w.Holder.Reason)
				require.Contains(t, w.String(), " this process")
				require.NoError(t, holder.Unlock())
				require.NoError(t, result(t, done))
				require.Empty(t, waits, "nothing else has changed")
			})
		}
	}
	_, err := filelock.New(target(t), filelock.WithOnWait(nil))
	require.ErrorIs(t, err, filelock.ErrInvalid)
}

// TestOnWaitInLine: goroutines count one each, whether or not those ahead want to see
// anything, and whoever leads.
func TestOnWaitInLine(t *testing.T) {
	path := target(t)
	other, blind := newLock(t, path), newLock(t, path)
	other.OwnLine()
	acquire(t, other)
	leads := start(func() error { return blind.Acquire(t.Context()) })
	queued(t, filepath.Dir(path), 2)
	first, firstWaits := observed(t, path)
	gotFirst := start(func() error { return first.Acquire(t.Context()) })
	w := requireWait(t, firstWaits, 2)
	require.NotContains(t, w.String(), "nobody")
	second, secondWaits := observed(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	gotSecond := start(func() error { return second.Acquire(ctx) })
	requireWait(t, secondWaits, 3)

	require.NoError(t, other.Unlock())
	require.NoError(t, result(t, leads))
	awaitAhead(t, firstWaits, 1)
	awaitAhead(t, secondWaits, 2)
	require.NoError(t, blind.Unlock())
	require.NoError(t, result(t, gotFirst))
	awaitAhead(t, secondWaits, 1)
	cancel()
	require.ErrorIs(t, result(t, gotSecond), context.Canceled)
	require.NoError(t, first.Unlock())
}

// TestOnWaitOfOneOwner: the second goroutine of an owner gets in with the first, and
// is as far behind.
func TestOnWaitOfOneOwner(t *testing.T) {
	path := target(t)
	holder := newLock(t, path)
	acquire(t, holder)
	first := newLock(t, path, filelock.WithReentrant())
	l, waits := observed(t, path, filelock.WithReentrant())
	ctx := filelock.ContextWithOwner(t.Context())
	done := start(func() error { return first.Acquire(ctx) })
	eventually(t, "the first one's wait", func() bool { return holder.Waiting() == 1 })
	also := start(func() error { return l.Acquire(ctx) })
	requireWait(t, waits, 1)
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, done))
	require.NoError(t, result(t, also))
	require.NoError(t, l.Unlock())
	require.NoError(t, first.Unlock())
}

// TestOnWaitFollows: who waits for another goroutine of its owner, in that one's line, is
// told of its own wait when the other one gives up.
func TestOnWaitFollows(t *testing.T) {
	path := target(t)
	holder := newLock(t, path, filelock.WithBatch(0))
	acquire(t, holder)
	first := newLock(t, path, filelock.WithReentrant(), filelock.WithLabel("first"))
	l, waits := observed(t, path, filelock.WithReentrant())
	owner := filelock.NewOwner()
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := start(func() error { return first.Acquire(owner.Context(ctx)) })
	queued(t, filepath.Dir(path), 2)
	done := start(func() error { return l.Acquire(owner.Context(t.Context())) })
	w := requireWait(t, waits, 1)
	inside := w.Holder.Path
	next := newLock(t, path)
	next.OwnLine()
	isNext := start(func() error { return next.Acquire(t.Context()) })
	settled(t, path, 3)

	cancel()
	require.ErrorIs(t, result(t, gaveUp), context.Canceled)
	eventually(t, "another line", func() bool { return holder.Waiting() == 1 })
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, isNext))
	for w.Holder.Path == inside {
		w = requireWait(t, waits, 1)
	}
	require.NoError(t, next.Unlock())
	require.NoError(t, result(t, done))
	require.NoError(t, l.Unlock())
}

// TestOnWaitMixed: ahead of a reader are the writers, in its process and in others, and
// ahead of a writer all; and so it says who gives up.
func TestOnWaitMixed(t *testing.T) {
	path := target(t)
	apart := func() *filelock.FileLock {
		l := newLock(t, path)
		l.OwnLine()
		return l
	}
	one, two := apart(), apart()
	require.NoError(t, one.AcquireShared(t.Context()))
	require.NoError(t, two.AcquireShared(t.Context()))
	writer, writerWaits := observed(t, path)
	written := start(func() error { return writer.Acquire(t.Context()) })
	require.True(t, requireWait(t, writerWaits, 2).Holder.Shared)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	behind := func(shared bool, ahead int) <-chan error {
		l, waits := observed(t, path)
		n := l.Waiting()
		acquire := l.Acquire
		if shared {
			acquire = l.AcquireShared
		}
		done := start(func() error { return acquire(ctx) })
		requireWait(t, waits, ahead)
		require.Equal(t, n+1, l.Waiting())
		return done
	}
	ends := []<-chan error{behind(true, 1), behind(true, 1), behind(false, 5), behind(true, 2)}
	cancel()
	aheads := []int{1, 1, 5, 2}
	for i, end := range slices.Backward(ends) {
		var busy *filelock.BusyError
		require.ErrorAs(t, result(t, end), &busy)
		if i < 2 { // those before it may have given up before
			require.Equal(t, aheads[i], busy.Ahead)
		}
		require.LessOrEqual(t, busy.Ahead, aheads[i])
	}
	require.NoError(t, one.Unlock())
	require.NoError(t, two.Unlock())
	require.NoError(t, result(t, written))
	require.NoError(t, writer.Unlock())
}

// TestOnWaitChangesAtOnce: a wait that begins while the lock passes from one to the next is
// told, though whoever was ahead when it began may be gone when it is looked for, and
// though nothing changes any more after that.
func TestOnWaitChangesAtOnce(t *testing.T) {
	const rounds = 50
	for _, ownLines := range []bool{false, true} {
		t.Run(fmt.Sprint("own lines ", ownLines), func(t *testing.T) {
			path := target(t)
			first, second := newLock(t, path), newLock(t, path, filelock.WithBatch(0))
			l, waits := observed(t, path)
			if ownLines {
				second.OwnLine()
				l.OwnLine()
			}
			for i := range rounds {
				acquire(t, first)
				next := start(func() error { return second.Acquire(t.Context()) })
				if ownLines {
					settled(t, path, 2)
				} else {
					eventually(t, "the second one's wait", func() bool { return first.Waiting() == 1 })
				}
				pause := time.Duration(i) * time.Microsecond
				released := start(func() error { return first.Unlock() })
				for began := time.Now(); time.Since(began) < pause; {
					runtime.Gosched()
				}
				done := start(func() error { return l.Acquire(t.Context()) })
				require.NoError(t, result(t, released))
				require.NoError(t, result(t, next))
				awaitAhead(t, waits, 1)
				require.NoError(t, second.Unlock())
				require.NoError(t, result(t, done))
				require.NoError(t, l.Unlock())
				for len(waits) > 0 {
					<-waits
				}
			}
		})
	}
}

// TestOnWaitSleeps: a call that does not return keeps neither its own acquisition,
// nor those behind, nor a cancellation; and no other call begins.
func TestOnWaitSleeps(t *testing.T) {
	for _, ownLines := range []bool{false, true} {
		t.Run(fmt.Sprint("own lines ", ownLines), func(t *testing.T) {
			path := target(t)
			holder := newLock(t, path)
			acquire(t, holder)
			begun, wake := make(chan filelock.Wait, 1), make(chan struct{})
			var calls, atOnce atomic.Int32
			sleepy := newLock(t, path, filelock.WithPollInterval(quickly), filelock.WithOnWait(func(w filelock.Wait) {
				assert.EqualValues(t, 1, atOnce.Add(1))
				calls.Add(1)
				begun <- w
				<-wake
				atOnce.Add(-1)
			}))
			behind, waits := observed(t, path)
			if ownLines {
				sleepy.OwnLine()
				behind.OwnLine()
			}
			sleeps := start(func() error { return sleepy.Acquire(t.Context()) })
			<-begun
			next := start(func() error { return behind.Acquire(t.Context()) })
			requireWait(t, waits, 2)
			require.NoError(t, holder.Unlock())
			require.NoError(t, result(t, sleeps))
			requireWait(t, waits, 1)
			require.NoError(t, sleepy.Unlock())
			require.NoError(t, result(t, next))
			require.EqualValues(t, 1, calls.Load())
			close(wake)
			eventually(t, "the call's end", func() bool { return atOnce.Load() == 0 })
			require.NoError(t, behind.Unlock())
			require.EqualValues(t, 1, calls.Load(), "a call began after the acquisition had returned")

			// The same for one that gives up: at its moment.
			begun, wake = make(chan filelock.Wait, 1), make(chan struct{})
			acquire(t, holder)
			ctx, cancel := context.WithCancel(t.Context())
			sleeps = start(func() error { return sleepy.Acquire(ctx) })
			<-begun
			cancel()
			require.ErrorIs(t, result(t, sleeps), context.Canceled)
			close(wake)
			eventually(t, "the call's end", func() bool { return atOnce.Load() == 0 })
			require.NoError(t, holder.Unlock())
		})
	}
}

// TestOnWaitNewest: what changed during a call is told once, as it is then.
func TestOnWaitNewest(t *testing.T) {
	r := &row{t: t, path: target(t)}
	const ahead = 5
	for i := range ahead {
		r.join()
		if i == 0 {
			r.holds(0)
		}
		settled(t, r.path, i+1)
	}
	calls, wake := make(chan filelock.Wait), make(chan struct{})
	r.join(filelock.WithPollInterval(quickly), filelock.WithOnWait(func(w filelock.Wait) { calls <- w; <-wake }))
	require.Equal(t, ahead, (<-calls).Ahead)
	for i := range ahead - 2 {
		r.leaves(i)
		r.holds(i + 1)
	}
	wake <- struct{}{}
	require.Equal(t, 2, (<-calls).Ahead)
	close(wake)
	r.leaves(ahead - 2)
	r.holds(ahead - 1)
	require.Equal(t, 1, (<-calls).Ahead)
	r.leaves(ahead - 1)
	r.holds(ahead)
	r.leaves(ahead)
}

// TestOnWaitDuringCall: what changes during a call is told after it, however long ago that
// was and though nothing changes any more.
func TestOnWaitDuringCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := target(t)
		holder := newLock(t, path)
		calls, wake := make(chan int, 10), make(chan struct{})
		l := newLock(t, path, filelock.WithOnWait(func(w filelock.Wait) { calls <- w.Ahead; <-wake }))
		acquire(t, holder)
		next := start(func() error { return holder.Acquire(t.Context()) })
		synctest.Wait()
		done := start(func() error { return l.Acquire(t.Context()) })
		require.Equal(t, 2, <-calls)
		require.NoError(t, holder.Unlock())
		require.NoError(t, <-next)
		time.Sleep(time.Minute)
		wake <- struct{}{}
		time.Sleep(time.Minute)
		require.Len(t, calls, 1, "the change is told")
		require.Equal(t, 1, <-calls)
		close(wake)
		time.Sleep(time.Minute)
		require.NoError(t, holder.Unlock())
		require.NoError(t, <-done)
		require.NoError(t, l.Unlock())
		require.Empty(t, calls)
	})
}

// TestOnWaitUsesLock: the function may give up the wait, and use the lock.
func TestOnWaitUsesLock(t *testing.T) {
	path := target(t)
	enough := errors.New("that may take long")
	ctx, cancel := context.WithCancelCause(t.Context())
	var l *filelock.FileLock
	l = newLock(t, path, filelock.WithOnWait(func(w filelock.Wait) {
		cancel(enough)
	}))
	acquire(t, l)
	err := l.Acquire(ctx)
	require.ErrorIs(t, err, enough)
	require.ErrorIs(t, err, context.Canceled)
	var busy *filelock.BusyError
	require.ErrorAs(t, err, &busy)
	require.NoError(t, l.Unlock())

	l = newLock(t, path, filelock.WithOnWait(func(filelock.Wait) {
		assert.True(t, l.Held())
		q, err := filelock.Inspect(path)
		assert.NoError(t, err)
		assert.NotEmpty(t, q.Tickets)
		assert.ErrorIs(t, l.TryLock(), filelock.ErrLocked)
		assert.NoError(t, l.Unlock()) // what the other goroutine holds
	}))
	acquire(t, l)
	acquire(t, l)
	require.NoError(t, l.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}

// requirePanic acquires, and requires that this panics.
func requirePanic(t *testing.T, want any, l *filelock.FileLock) {
	t.Helper()
	defer func() { require.Equal(t, want, recover()) }()
	t.Fatalf("no panic: %v", l.Acquire(t.Context()))
}

// TestOnWaitPanics: the panic comes up where the lock was to be acquired, whatever
// became of that, and nothing is held or left.
func TestOnWaitPanics(t *testing.T) {
	path := target(t)
	holder := newLock(t, path)
	inCall, proceed := make(chan struct{}, 1), make(chan struct{})
	l := newLock(t, path, filelock.WithOnWait(func(filelock.Wait) {
		inCall <- struct{}{}
		<-proceed
		panic("no terminal")
	}))
	l.OwnLine()
	t.Run("it waits", func(t *testing.T) {
		acquire(t, holder)
		done := start(func() error { requirePanic(t, "no terminal", l); return nil })
		<-inCall
		proceed <- struct{}{}
		require.NoError(t, result(t, done))
		require.True(t, holder.Held())
		require.Len(t, tickets(t, filepath.Dir(path)), 1)
		require.NoError(t, holder.Unlock())
	})
	t.Run("it has just got the lock", func(t *testing.T) {
		acquire(t, holder)
		defer filelock.AtSteps(func(step, _ string) {
			if step != "after Enter" {
				return
			}
			proceed <- struct{}{}
			eventually(t, "the call's end", func() bool {
				stacks := make([]byte, 1<<20)
				return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "TestOnWaitPanics.func1")
			})
		})()
		done := start(func() error { requirePanic(t, "no terminal", l); return nil })
		<-inCall
		require.NoError(t, holder.Unlock())
		require.NoError(t, result(t, done))
		require.False(t, l.Held())
		requireNoTickets(t, filepath.Dir(path))
	})
}

// TestOnWaitPanicLeavesNothing: however it waited, and by whatever call, nobody stands in
// the line or in the queue after the panic, and the owner has nothing.
func TestOnWaitPanicLeavesNothing(t *testing.T) {
	nothing := func(context.Context) error { return nil }
	calls := map[string]func(*filelock.FileLock, context.Context) error{
		"Acquire":       (*filelock.FileLock).Acquire,
		"AcquireShared": (*filelock.FileLock).AcquireShared,
		"Hold":          func(l *filelock.FileLock, ctx context.Context) error { _, err := l.Hold(ctx); return err },
		"Do":            func(l *filelock.FileLock, ctx context.Context) error { return l.Do(ctx, nothing) },
	}
	panics := filelock.WithOnWait(func(filelock.Wait) { panic("no terminal") })
	for name, call := range calls {
		for way, opts := range map[string][]filelock.Option{
			"in line": {panics}, "in the queue": {panics}, "in line, reentrant": {panics, filelock.WithReentrant()},
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				path := target(t)
				holder, l := newLock(t, path), newLock(t, path, opts...)
				if way == "in the queue" {
					l.OwnLine()
				}
				me := filelock.ContextWithOwner(t.Context())
				acquire(t, holder)
				for range 2 { // also by what the first one left for later use
					require.PanicsWithValue(t, "no terminal", func() { t.Error(call(l, me)) })
					require.False(t, l.Held())
					require.Zero(t, l.Waiting())
					require.Len(t, tickets(t, filepath.Dir(path)), 1)
				}
				require.True(t, holder.Held())
				require.NoError(t, holder.Unlock())
				again := start(func() error { return l.Acquire(me) })
				require.NoError(t, result(t, again), "the owner holds nothing of it, nor waits")
				require.NoError(t, l.Unlock())
				requireNoTickets(t, filepath.Dir(path))
			})
		}
	}
}

// TestOnWaitPanicOfOneOwner: a goroutine that is about to share what another one of its
// owner waits for panics alone.
func TestOnWaitPanicOfOneOwner(t *testing.T) {
	path := target(t)
	holder := newLock(t, path)
	acquire(t, holder)
	first := newLock(t, path, filelock.WithReentrant())
	l := newLock(t, path, filelock.WithReentrant(), filelock.WithOnWait(func(filelock.Wait) { panic("no terminal") }))
	me := filelock.ContextWithOwner(t.Context())
	done := start(func() error { return first.Acquire(me) })
	eventually(t, "the first one's wait", func() bool { return holder.Waiting() == 1 })
	require.PanicsWithValue(t, "no terminal", func() { t.Error(l.Acquire(me)) })
	requireBlocks(t, done)
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, done))
	require.NoError(t, first.Unlock())
	require.False(t, first.Held(), "its only hold was given back")
	requireNoTickets(t, filepath.Dir(path))
}

func init() {
	locktest.Register("late panic", func(args []string) error {
		inCall, proceed := make(chan struct{}), make(chan struct{})
		l, err := filelock.New(args[0], filelock.WithOnWait(func(filelock.Wait) {
			close(inCall)
			<-proceed
			panic("no terminal")
		}))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-inCall
			cancel()
		}()
		if err := l.Acquire(ctx); !errors.Is(err, context.Canceled) {
			return err
		}
		locktest.Say("returned")
		close(proceed)
		select {}
	})
}

// TestOnWaitPanicsLate: when nobody is left to be told, the program ends as by any
// goroutine's panic.
func TestOnWaitPanicsLate(t *testing.T) {
	holder := newLock(t, target(t))
	acquire(t, holder)
	c := locktest.Start(t, "late panic", holder.Path())
	c.Expect("returned")
	require.Error(t, c.Wait())
	require.Contains(t, c.Errors(), "panic: no terminal")
	require.NoError(t, holder.Unlock())
}

// TestOnWaitEndsGoroutine: a function that ends its goroutine, as a failed test does,
// is not called again, and nothing else happens.
func TestOnWaitEndsGoroutine(t *testing.T) {
	path := target(t)
	var calls atomic.Int32
	l := newLock(t, path, filelock.WithPollInterval(quickly), filelock.WithOnWait(func(filelock.Wait) {
		calls.Add(1)
		runtime.Goexit()
	}))
	acquire(t, l)
	done := start(func() error { return l.Acquire(t.Context()) })
	eventually(t, "the call", func() bool { return calls.Load() == 1 })
	require.NoError(t, l.Unlock())
	require.NoError(t, result(t, done))
	require.NoError(t, l.Unlock())
	require.EqualValues(t, 1, calls.Load())
}

// TestOnWaitInBubble: time goes on in a bubble, and looks with it.
func TestOnWaitInBubble(t *testing.T) {
	for _, ownLine := range []bool{false, true} {
		t.Run(fmt.Sprintf("own line %v", ownLine), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := target(t)
				holder := newLock(t, path, filelock.WithBatch(0))
				var seen []int
				l := newLock(t, path, filelock.WithOnWait(func(w filelock.Wait) { seen = append(seen, w.Ahead) }))
				if ownLine {
					l.OwnLine()
				}
				acquire(t, holder)
				first := start(func() error { return holder.Acquire(t.Context()) })
				time.Sleep(time.Minute)
				began := time.Now()
				done := start(func() error { return l.Acquire(t.Context()) })
				time.Sleep(time.Minute)
				require.NoError(t, holder.Unlock())
				if ownLine { // the first one's process gets in line again, behind us
					require.NoError(t, <-done)
					require.NoError(t, l.Unlock())
					require.NoError(t, <-first)
					require.NoError(t, holder.Unlock())
				} else {
					require.NoError(t, <-first)
					time.Sleep(time.Minute)
					require.NoError(t, holder.Unlock())
					require.NoError(t, <-done)
					require.NoError(t, l.Unlock())
				}
				require.GreaterOrEqual(t, time.Since(began), time.Minute)
				synctest.Wait()
				require.Equal(t, map[bool][]int{false: {2, 1}, true: {1}}[ownLine], seen)
			})
		})
	}
}

// span is a time from the monotonic clock, from and to.
type span struct{ from, to time.Time }

// TestOnWaitAsksAgain: while the holder's ticket may change without another time to show for
// it, it is asked again whether it was left to heirs.
func TestOnWaitAsksAgain(t *testing.T) {
	now := time.Now()
	whole := now.Truncate(time.Second)
	for name, tt := range map[string]struct {
		touched time.Time
		again   bool
	}{
		"just now":                   {now, true},
		"ticks ago":                  {now.Add(-time.Second).Truncate(time.Second).Add(time.Millisecond), false},
		"in a second that goes on":   {whole, true},
		"in two seconds that go on":  {whole.Add(-time.Second), true},
		"some seconds ago, in whole": {whole.Add(-4 * time.Second), false},
	} {
		require.Equal(t, tt.again, filelock.AsksAgain(tt.touched), name)
	}
}

// TestOnWaitPositions: what 16 waiters are told behind a changing holder is what was
// so, by a record of all holds that is held against it afterwards.
func TestOnWaitPositions(t *testing.T) {
	const watchers = 16
	onEach(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "target")
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		r := &row{t: t, path: path}
		r.join(filelock.WithLabel("number 0"))
		r.holds(0)
		type told struct {
			span // from the end of the last look to the call
			w    filelock.Wait
		}
		var mu sync.Mutex
		history := make([][]told, watchers+1)
		for i := 1; i <= watchers; i++ {
			last := time.Now()
			r.join(filelock.WithLabel(fmt.Sprint("number ", i)), filelock.WithPollInterval(quickly), filelock.WithOnWait(func(w filelock.Wait) {
				now := time.Now()
				mu.Lock()
				defer mu.Unlock()
				history[i] = append(history[i], told{span{last, now}, w})
				last = time.Now()
			}))
			eventually(t, "the first call", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(history[i]) > 0
			})
		}
		leaves := make([]span, watchers+1)
		for i := range watchers + 1 {
			if i > 0 {
				r.holds(i)
			}
			time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond) // a hold
			leaves[i].from = time.Now()
			r.leaves(i)
			leaves[i].to = time.Now()
		}
		mu.Lock()
		defer mu.Unlock()
		calls := 0
		for i := 1; i <= watchers; i++ {
			require.Equal(t, i, history[i][0].w.Ahead)
			before := i + 1
			for _, h := range history[i] {
				calls++
				most, least := i, i
				for _, l := range leaves[:i] {
					if l.to.Before(h.from) {
						most--
					}
					if l.from.Before(h.to) {
						least--
					}
				}
				require.GreaterOrEqual(t, h.w.Ahead, max(least, 1), "number %d: %v, %v", i, h.w, history[i])
				require.LessOrEqual(t, h.w.Ahead, most, "number %d: %v, %v", i, h.w, history[i])
				require.LessOrEqual(t, h.w.Ahead, before, "number %d is told of one that came later", i)
				require.NotEmpty(t, h.w.Holder.Path, "number %d is told of nobody", i)
				before = h.w.Ahead
				if h.w.Holder.State == filelock.Inside && h.w.Holder.Label != "" {
					var holder int
					_, err := fmt.Sscanf(h.w.Holder.Label, "number %d", &holder)
					require.NoError(t, err)
					require.False(t, leaves[holder].to.Before(h.from), "number %d was not inside any more", holder)
				}
			}
		}
		t.Logf("%d waiters were told %d times", watchers, calls)
		require.Greater(t, calls, watchers, "nothing was told of the changes")
		requireNoTickets(t, dir)
	})
}
