package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// Locks runs the same tests over any kind of queue.
func Locks(t *testing.T, w World) {
	for _, test := range []struct {
		name string
		run  func(table)
	}{
		{"exclusion", exclusion},
		{"order", order},
		{"cancel", cancel},
		{"heir", heir},
		{"timeout", timeout},
		{"try", try},
		{"tries at once", triesAtOnce},
		{"reentrancy", reentrancy},
		{"deadlock", deadlock},
		{"batch", batch},
		{"alternation", alternation},
		{"Hold", hold},
		{"Do", do},
		{"Inspect", inspect},
		{"errors", misuse},
		{"shared", sharedLocks},
		{"readers and writers", readersAndWriters},
		{"several", several},
		{"Token", tokensOfLocks},
		{"OnWait", onWait},
		{"Lost", lost},
		{"lost in the queue", lostInQueue},
		{"a lease that is kept", kept},
		{"silence", silence},
		{"silence while waiting", silenceWhileWaiting},
		{"told in time", toldInTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, w.Run, func(t *testing.T) { test.run(table{T: t, World: w, name: w.NewName(t)}) })
		})
	}
}

func exclusion(t table) {
	const clients, goroutines, holds = 3, 3, 15
	var r referee
	var counter int // with the race detector: what is done inside is seen by the next one
	var all sync.WaitGroup
	for c := range clients {
		l := t.on()
		for g := range goroutines {
			all.Go(func() {
				for range holds {
					if !assert.NoError(t, l.Acquire(t.context())) {
						return
					}
					r.enters(fmt.Sprintf("%d.%d", c, g))
					counter++
					r.leaves()
					assert.NoError(t, l.Unlock())
				}
			})
		}
	}
	all.Wait()
	require.Empty(t, r.overlaps)
	require.Equal(t, clients*goroutines*holds, counter)
}

func order(t table) {
	const waiters = 4
	look := t.NewClient(t.T)
	first := t.holder()
	var done []<-chan error
	entered := make(chan int, waiters)
	for i := range waiters {
		l := t.on()
		done = append(done, start(func() error {
			if err := l.Acquire(t.context()); err != nil {
				return err
			}
			entered <- i
			return l.Unlock()
		}))
		t.settled(look, i+2)
	}
	require.NoError(t, first.Unlock())
	for i := range waiters {
		require.NoError(t, result(t, done[i]))
		require.Equal(t, i, <-entered)
	}
	t.queued(look, 0)
}

func cancel(t table) {
	look := t.NewClient(t.T)
	holder := t.holder()
	ctx, end := context.WithCancel(context.Background())
	between := t.on()
	gaveUp := start(func() error { return between.Acquire(ctx) })
	t.settled(look, 2)
	last := t.on()
	held := start(func() error { return last.Acquire(t.context()) })
	t.settled(look, 3)
	end()
	ended := time.Now()
	err := result(t, gaveUp)
	require.Less(t, time.Since(ended), lateness, "a wait ends when its context does")
	require.ErrorIs(t, err, context.Canceled)
	var busy *filelock.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, 1, busy.Ahead)
	t.queued(look, 2)
	blocks(t, held)
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, held), "who gave up is in nobody's way")
	require.NoError(t, last.Unlock())

	ctx, end = context.WithCancel(context.Background())
	end()
	require.ErrorIs(t, last.Acquire(ctx), context.Canceled, "a context that is done loses even if the lock is free")
	t.queued(look, 0)
}

// heir: the place of a goroutine that gives up is that of the one behind it.
func heir(t table) {
	look := t.NewClient(t.T)
	holder, l, late := t.holder(), t.on(), t.on()
	ctx, end := context.WithCancel(context.Background())
	first := start(func() error { return l.Acquire(ctx) })
	t.settled(look, 2)
	var r referee
	enter := func(who string, l *filelock.FileLock) <-chan error {
		return start(func() error {
			if err := l.Acquire(t.context()); err != nil {
				return err
			}
			r.enters(who)
			r.leaves()
			return l.Unlock()
		})
	}
	second := enter("second", l)
	time.Sleep(mustBlock) // it is in line: nothing shows of that outside
	third := enter("late", late)
	t.queued(look, 3)
	end()
	require.ErrorIs(t, result(t, first), context.Canceled)
	t.queued(look, 3)
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, second))
	require.NoError(t, result(t, third))
	require.Equal(t, []string{"second", "late"}, r.order)
}

func timeout(t table) {
	holder := t.holder()
	const limit = 50 * time.Millisecond
	began := time.Now()
	err := t.on(filelock.WithTimeout(limit)).Acquire(context.Background())
	require.Less(t, time.Since(began), limit+lateness)
	require.ErrorIs(t, err, filelock.ErrTimeout)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, holder.Unlock())
	t.queued(t.NewClient(t.T), 0)
}

func try(t table) {
	look := t.NewClient(t.T)
	l, other := t.on(), t.on()
	require.NoError(t, l.TryLock())
	require.True(t, l.Held())
	err := other.TryLock()
	require.ErrorIs(t, err, filelock.ErrLocked)
	var busy *filelock.BusyError
	require.ErrorAs(t, err, &busy)
	require.NotEmpty(t, busy.Holder.Path, "who holds it: %v", err)
	require.Equal(t, 1, busy.Ahead)
	require.ErrorIs(t, l.TryLock(), filelock.ErrLocked, "two goroutines of one client are two")
	t.queued(look, 1)
	require.NoError(t, l.Unlock())
	require.NoError(t, other.TryLock())
	require.NoError(t, other.Unlock())
	t.queued(look, 0)
}

func triesAtOnce(t table) {
	const clients, rounds = 4, 5
	var locks []*filelock.FileLock
	for range clients {
		locks = append(locks, t.on())
	}
	for range rounds {
		var got atomic.Int32
		var all sync.WaitGroup
		begin := make(chan struct{})
		for _, l := range locks {
			all.Go(func() {
				<-begin
				switch err := l.TryLock(); {
				case err == nil:
					got.Add(1)
				default:
					assert.ErrorIs(t, err, filelock.ErrLocked)
				}
			})
		}
		close(begin)
		all.Wait()
		require.EqualValues(t, 1, got.Load())
		for _, l := range locks {
			if l.Held() {
				require.NoError(t, l.Unlock())
			}
		}
	}
}

func reentrancy(t table) {
	c := t.NewClient(t.T)
	l, same := t.at(c, filelock.WithReentrant()), t.at(c, filelock.WithReentrant())
	ctx := filelock.ContextWithOwner(t.context())
	require.NoError(t, l.Acquire(ctx))
	require.NoError(t, same.Acquire(ctx), "through another handle on the same lock")
	require.NoError(t, same.TryAcquire(ctx))
	require.ErrorIs(t, t.on().TryLock(), filelock.ErrLocked)
	require.NoError(t, same.Unlock())
	require.NoError(t, l.Unlock())
	require.ErrorIs(t, t.on().TryLock(), filelock.ErrLocked, "once more than that")
	require.NoError(t, same.Unlock())
	t.free()
}

func deadlock(t table) {
	l := t.on()
	ctx := filelock.ContextWithOwner(t.context())
	require.NoError(t, l.Acquire(ctx))
	require.ErrorIs(t, l.Acquire(ctx), filelock.ErrDeadlock)
	require.NoError(t, l.Unlock())
}

// batch: with all the time of the world, the lock stays in one process until nobody
// there wants it.
func batch(t table) {
	r := inLine(t, filelock.WithBatch(time.Hour))
	require.Equal(t, []string{"holder", "here", "here", "here", "there"}, r)
}

// alternation: without batches processes take turns, so the place that a process has
// from before another came counts, and the next one is behind that.
func alternation(t table) {
	r := inLine(t, filelock.WithBatch(0))
	require.Equal(t, []string{"holder", "there", "here", "here", "here"}, r)
}

// inLine has a holder with three goroutines behind it, and another process that came
// before these, and returns the order in which they are served.
func inLine(t table, opt filelock.Option) []string {
	look := t.NewClient(t.T)
	here, there := t.on(opt), t.on(opt)
	var r referee
	var done []<-chan error
	enter := func(who string, l *filelock.FileLock) {
		done = append(done, start(func() error {
			if err := l.Acquire(t.context()); err != nil {
				return err
			}
			r.enters(who)
			r.leaves()
			return l.Unlock()
		}))
	}
	require.NoError(t, here.Acquire(t.context()))
	r.enters("holder")
	enter("there", there)
	t.settled(look, 2)
	began := time.Now()
	for range 3 {
		enter("here", here)
	}
	time.Sleep(mustBlock) // they are in line: nothing shows of that outside
	r.leaves()
	require.NoError(t, here.Unlock())
	for _, d := range done {
		require.NoError(t, result(t, d))
	}
	require.Empty(t, r.overlaps)
	t.Logf("%v", time.Since(began))
	t.queued(look, 0)
	return r.order
}

func hold(t table) {
	l := t.on()
	release, err := l.Hold(t.context())
	require.NoError(t, err)
	require.True(t, l.Held())
	require.NoError(t, release())
	require.NoError(t, release(), "it releases exactly what it took, once")
	require.False(t, l.Held())
	t.free()
}

func do(t table) {
	l := t.on()
	wrong := errors.New("wrong")
	err := l.Do(t.context(), func(ctx context.Context) error {
		assert.True(t, l.Held())
		assert.NoError(t, ctx.Err())
		assert.ErrorIs(t, l.Acquire(ctx), filelock.ErrDeadlock)
		return wrong
	})
	require.ErrorIs(t, err, wrong)
	require.PanicsWithValue(t, "panic", func() {
		_ = l.Do(t.context(), func(context.Context) error { panic("panic") })
	})
	t.free()
}

func inspect(t table) {
	look := t.NewClient(t.T)
	q := t.queued(look, 0)
	_, held := q.Holder()
	require.False(t, held)
	holder := t.holder()
	waiter := t.on()
	done := start(func() error { return waiter.Acquire(t.context()) })
	q = t.queued(look, 2)
	require.Equal(t, holder.Path(), q.Path)
	first, held := q.Holder()
	require.True(t, held)
	require.Equal(t, q.Tickets[0], first)
	for _, ticket := range q.Tickets {
		require.NotEmpty(t, ticket.Host)
		require.NotZero(t, ticket.PID)
		require.NotEmpty(t, ticket.Reason)
		require.WithinDuration(t, time.Now(), ticket.Queued, stuck)
		require.Equal(t, t.Lease, ticket.Lease)
	}
	require.False(t, q.Tickets[1].Queued.Before(first.Queued))
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, done))
	q = t.queued(look, 1)
	require.NoError(t, waiter.Unlock())
	require.NotEqual(t, first.Path, q.Tickets[0].Path)
}

func misuse(t table) {
	l := t.on()
	require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
	var none context.Context
	require.ErrorIs(t, l.Acquire(none), filelock.ErrInvalid)
	require.Nil(t, l.Lost())
	require.False(t, l.Held())
	_, err := t.NewClient(t.T).Lock("")
	require.ErrorIs(t, err, filelock.ErrInvalid)
	_, err = l.Witness()
	require.ErrorIs(t, err, filelock.ErrNotLocked)
}
