package local_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/turn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a queue between processes, in memory. Its places are numbered in
// the order in which they joined, and the first one has its turn, or the first ones
// if they are shared.
type world struct {
	mu     sync.Mutex
	made   int
	joined []*place
	change chan struct{} // closed at each change
	events []string
	joins  int
	leaves int
	// quiet keeps no history.
	quiet bool
	// Faults: each is asked with the place concerned.
	failJoin   func(*place) error
	failWait   func(*place) error
	failLeave  func(*place) error // the place is given up a little later
	behind     sync.WaitGroup     // of those
	lost       func(*place) bool
	standing   func(*place) error // what a look at a turn finds; nil: it is there
	onJoin     func(*place)
	onWait     func(*place)
	onLeave    func(*place)
	onRequeued func()
	refuses    bool              // it cannot be, after all
	requeues   func(*place) bool // whether a turn can be exchanged for the tail; nil: never
}

func newWorld() *world { return &world{change: make(chan struct{})} }

type place struct {
	w      *world
	id     int
	shared bool
}

func (w *world) note(format string, args ...any) {
	if !w.quiet {
		w.events = append(w.events, fmt.Sprintf(format, args...))
	}
}

func (w *world) changed() {
	close(w.change)
	w.change = make(chan struct{})
}

// history returns the events since the last call.
func (w *world) history() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.events
	w.events = nil
	return h
}

// queue returns the numbers of the places in the queue.
func (w *world) queue() (ids []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.joined {
		ids = append(ids, p.id)
	}
	return ids
}

// other joins a place of another process.
func (w *world) other() *place {
	p := &place{w: w}
	w.mu.Lock()
	w.made++
	p.id = w.made
	w.mu.Unlock()
	if err := p.Join(context.Background()); err != nil {
		panic(err)
	}
	return p
}

// settled checks that nothing of ours is left in the queue.
func (w *world) settled(t testing.TB) {
	t.Helper()
	assert.Empty(t, w.queue(), "places were left in the queue")
	assert.Equal(t, w.joins, w.leaves)
}

func ask(f func(*place) error, p *place) error {
	if f == nil {
		return nil
	}
	return f(p)
}

func tell(f func(*place), p *place) {
	if f != nil {
		f(p)
	}
}

func (p *place) Join(context.Context) error {
	tell(p.w.onJoin, p)
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if err := ask(p.w.failJoin, p); err != nil {
		p.w.note("join %d fails", p.id)
		return err
	}
	if slices.Contains(p.w.joined, p) {
		panic("joined twice")
	}
	p.w.joins++
	p.w.joined = append(p.w.joined, p)
	p.w.note("join %d", p.id)
	return nil
}

func (p *place) wait(ctx context.Context) error {
	tell(p.w.onWait, p)
	p.w.mu.Lock()
	p.w.note("wait %d", p.id)
	p.w.mu.Unlock()
	for {
		p.w.mu.Lock()
		if !slices.Contains(p.w.joined, p) {
			panic("waits without a place")
		}
		first, change := p.mayEnter(), p.w.change
		err := ask(p.w.failWait, p)
		p.w.mu.Unlock()
		switch {
		case err != nil:
			return err
		case first:
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mayEnter reports whether no place that conflicts is before p. p.w.mu is held.
func (p *place) mayEnter() bool {
	for _, o := range p.w.joined {
		switch {
		case o == p:
			return true
		case !o.shared || !p.shared:
			return false
		}
	}
	return false
}

func (p *place) Resumable(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// retryAfter is when a place whose leave failed is tried again.
const retryAfter = time.Millisecond

func (p *place) Leave() error {
	tell(p.w.onLeave, p)
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if err := ask(p.w.failLeave, p); err != nil {
		p.w.note("leave %d fails", p.id)
		p.w.behind.Add(1)
		time.AfterFunc(retryAfter, func() {
			defer p.w.behind.Done()
			p.w.mu.Lock()
			defer p.w.mu.Unlock()
			p.leave()
		})
		return err
	}
	p.leave()
	if p.w.lost != nil && p.w.lost(p) {
		return errLost
	}
	return nil
}

// Requeue makes p a turn.Requeuer.
func (p *place) Requeue() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	i := slices.Index(p.w.joined, p)
	if i < 0 || p.w.requeues == nil || !p.w.requeues(p) {
		return false
	}
	if !p.w.refuses {
		p.w.note("requeue %d", p.id)
		p.w.joined = append(slices.Delete(p.w.joined, i, i+1), p)
		p.w.changed()
	}
	if f := p.w.onRequeued; f != nil {
		p.w.mu.Unlock()
		defer p.w.mu.Lock()
		f()
	}
	return !p.w.refuses
}

// leave takes p out of the queue. p.w.mu is held.
func (p *place) leave() {
	i := slices.Index(p.w.joined, p)
	if i < 0 {
		panic("left twice")
	}
	p.w.leaves++
	p.w.joined = slices.Delete(p.w.joined, i, i+1)
	p.w.note("leave %d", p.id)
	p.w.changed()
}

func (p *place) Wait(ctx context.Context) error { return p.wait(ctx) }

func (p *place) Try(ctx context.Context) error { return p.wait(ctx) }

func (p *place) Losing() <-chan struct{} { return nil }

func (p *place) Report() turn.Report {
	return turn.Report{First: turn.Contender{PID: p.id}, Known: true}
}

func (p *place) Lost() bool { return p.w.lost != nil && p.w.lost(p) }

// Standing makes p a turn.Standing.
func (p *place) Standing() func() error {
	return func() error { return ask(p.w.standing, p) }
}

var (
	errLost  = errors.New("lost")
	errFault = errors.New("fault")
)

// attempt is one goroutine's.
type attempt struct {
	w      *world
	shared bool
	batch  time.Duration
	behind []string
}

func (a *attempt) Shared() bool { return a.shared }

func (a *attempt) Batch() time.Duration { return a.batch }

func (a *attempt) New() turn.Passage {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	a.w.made++
	return &place{w: a.w, id: a.w.made, shared: a.shared}
}

func (a *attempt) Wait(ctx context.Context, p turn.Passage) error { return p.(*place).wait(ctx) }

func (a *attempt) Queued() {}

func (a *attempt) Behind(front turn.Passage, goroutines int) {
	id := 0
	if front != nil {
		id = front.(*place).id
	}
	a.behind = append(a.behind, fmt.Sprintf("place %d, %d ahead", id, goroutines))
}

// acquiring is a goroutine in Acquire.
type acquiring struct {
	*attempt
	cancel context.CancelFunc
	done   atomic.Bool
	place  turn.Passage
	err    error
}

// acquire begins to acquire, in a bubble, and returns when that blocks or ends.
func acquire(l *local.Line, w *world) *acquiring {
	a := begin(l, w)
	synctest.Wait()
	return a
}

// queueUp begins to acquire behind others, and returns when it is in the line.
// It is for hooks: a bubble has but one synctest.Wait at a time.
func queueUp(l *local.Line, w *world) *acquiring {
	n := l.Waiting()
	a := begin(l, w)
	for l.Waiting() == n {
		runtime.Gosched()
	}
	return a
}

// giveUp cancels the only goroutine in the line, and returns when it is out.
func giveUp(l *local.Line, a *acquiring) {
	a.cancel()
	for l.Waiting() > 0 {
		runtime.Gosched()
	}
}

func begin(l *local.Line, w *world) *acquiring { return beginAs(l, &attempt{w: w}) }

func beginAs(l *local.Line, as *attempt) *acquiring {
	ctx, cancel := context.WithCancel(context.Background())
	a := &acquiring{attempt: as, cancel: cancel}
	go func() {
		a.place, a.err = l.Acquire(ctx, a.attempt)
		a.done.Store(true)
	}()
	return a
}

func (a *acquiring) mustHold(t testing.TB, id int) {
	t.Helper()
	synctest.Wait()
	require.True(t, a.done.Load(), "it waits")
	require.NoError(t, a.err)
	require.Equal(t, id, a.place.(*place).id)
}

func (a *acquiring) mustWait(t testing.TB) {
	t.Helper()
	synctest.Wait()
	if a.done.Load() {
		require.Fail(t, "it does not wait", "%v", a.err)
	}
}

func (a *acquiring) mustFail(t testing.TB, err error) {
	t.Helper()
	synctest.Wait()
	require.True(t, a.done.Load(), "it waits")
	require.ErrorIs(t, a.err, err)
	require.Nil(t, a.place)
}

func release(t testing.TB, l *local.Line, a *acquiring, batch time.Duration) {
	t.Helper()
	require.NoError(t, l.Release(a.place, batch))
}

// bubble runs a test of one line in one world, with fake time.
func bubble(t *testing.T, f func(t *testing.T, l *local.Line, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, w := new(local.Line), newWorld()
		f(t, l, w)
		synctest.Wait()
		assert.Zero(t, l.Waiting())
		w.settled(t)
		// The line is as good as new.
		a := acquire(l, w)
		require.True(t, a.done.Load())
		require.NoError(t, a.err)
		release(t, l, a, 0)
		w.settled(t)
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	for name, batch := range map[string]time.Duration{"batch": time.Hour, "no batch": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *local.Line, w *world) {
				var all []*acquiring
				for i := range 50 {
					all = append(all, acquire(l, w))
					assert.Equal(t, i, l.Waiting())
				}
				for i, a := range all {
					id := 1
					if batch == 0 {
						id = i + 1
					}
					a.mustHold(t, id)
					for _, later := range all[i+1:] {
						later.mustWait(t)
					}
					release(t, l, a, batch)
				}
			})
		})
	}
}

// TestBatch: within the batch the place is passed on as it is, without a word
// to the directory; after it, the next place is taken before the old one goes.
func TestBatch(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a, b, c, d := acquire(l, w), acquire(l, w), acquire(l, w), acquire(l, w)
		a.mustHold(t, 1)
		assert.Equal(t, []string{"join 1", "wait 1"}, w.history())

		time.Sleep(time.Millisecond - 1)
		release(t, l, a, time.Millisecond)
		b.mustHold(t, 1)
		assert.Empty(t, w.history())

		// The batch counts from when the place came to the head, not from the
		// last hand-off.
		time.Sleep(time.Nanosecond)
		release(t, l, b, time.Millisecond)
		c.mustHold(t, 2)
		assert.Equal(t, []string{"join 2", "leave 1", "wait 2"}, w.history())

		// It begins anew with the new place.
		release(t, l, c, time.Millisecond)
		d.mustHold(t, 2)
		assert.Empty(t, w.history())
		release(t, l, d, time.Millisecond) // nobody waits
		assert.Equal(t, []string{"leave 2"}, w.history())
	})
}

func TestNoBatch(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a, b := acquire(l, w), acquire(l, w)
		w.history()
		release(t, l, a, 0)
		b.mustHold(t, 2)
		assert.Equal(t, []string{"join 2", "leave 1", "wait 2"}, w.history())
		release(t, l, b, 0)
	})
}

// TestAlternate: another process that queued meanwhile has its turn between.
func TestAlternate(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a, b := acquire(l, w), acquire(l, w)
		other := w.other()
		release(t, l, a, 0)
		b.mustWait(t)
		other.Leave()
		b.mustHold(t, 3)
		release(t, l, b, 0)
	})
}

// TestRequeue: where a turn can be exchanged for the place at the tail, no other
// place is taken for those behind, and processes alternate as well.
func TestRequeue(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		w.requeues = func(*place) bool { return true }
		a, b := acquire(l, w), acquire(l, w)
		other := w.other()
		release(t, l, a, 0)
		b.mustWait(t)
		assert.Equal(t, []int{2, 1}, w.queue())
		other.Leave()
		b.mustHold(t, 1)
		release(t, l, b, 0)
		assert.Equal(t, 2, w.joins)
	})
	t.Run("not for what is lost", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.requeues = func(*place) bool { return true }
			w.lost = func(p *place) bool { return p.id == 1 }
			a, b := acquire(l, w), acquire(l, w)
			assert.ErrorIs(t, l.Release(a.place, 0), errLost)
			b.mustHold(t, 2)
			release(t, l, b, 0)
		})
	})
	t.Run("the first gives up, and it cannot be done", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a, b, c := acquire(l, w), acquire(l, w), acquire(l, w)
			w.requeues = func(*place) bool { return true }
			w.onRequeued = func() {
				b.cancel()
				b.mustFail(t, context.Canceled)
			}
			w.refuses = true
			release(t, l, a, 0)
			w.requeues = nil
			c.mustHold(t, 2)
			release(t, l, c, 0)
		})
	})
	t.Run("all give up meanwhile", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a, b := acquire(l, w), acquire(l, w)
			w.requeues = func(*place) bool {
				b.cancel()
				return true
			}
			w.onRequeued = func() { b.mustFail(t, context.Canceled) }
			release(t, l, a, 0)
			assert.Empty(t, w.queue())
			c := acquire(l, w)
			c.mustHold(t, 2)
			release(t, l, c, 0)
		})
	})
}

// TestLostIsNotPassedOn: a place that is gone is no good to the next one.
func TestLostIsNotPassedOn(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		w.lost = func(p *place) bool { return p.id == 1 }
		a, b := acquire(l, w), acquire(l, w)
		assert.ErrorIs(t, l.Release(a.place, time.Hour), errLost)
		b.mustHold(t, 2)
		release(t, l, b, 0)
	})
}

func TestCancel(t *testing.T) {
	t.Run("in the middle", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a, b, c, d := acquire(l, w), acquire(l, w), acquire(l, w), acquire(l, w)
			c.cancel()
			c.mustFail(t, context.Canceled)
			assert.Equal(t, []string{"place 1, 2 ahead"}, c.behind)
			assert.Equal(t, 2, l.Waiting())
			release(t, l, a, time.Hour)
			b.mustHold(t, 1)
			release(t, l, b, time.Hour)
			d.mustHold(t, 1)
			release(t, l, d, time.Hour)
		})
	})
	t.Run("the last", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a, b := acquire(l, w), acquire(l, w)
			b.cancel()
			b.mustFail(t, context.Canceled)
			assert.Equal(t, []string{"place 1, 1 ahead"}, b.behind)
			w.history()
			release(t, l, a, 0)
			assert.Equal(t, []string{"leave 1"}, w.history(), "no place is taken for nobody")
		})
	})
	t.Run("the leader hands its place on", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			other := w.other() // place 1
			a, b, c := acquire(l, w), acquire(l, w), acquire(l, w)
			a.mustWait(t)
			w.history()
			a.cancel()
			a.mustFail(t, context.Canceled)
			assert.Empty(t, a.behind, "it was not in the line, but at its head")
			assert.Equal(t, []string{"wait 2"}, w.history(), "the place in the queue is kept, and waited at anew")
			b.mustWait(t)
			assert.Equal(t, 1, l.Waiting())
			b.cancel()
			b.mustFail(t, context.Canceled)
			other.Leave()
			c.mustHold(t, 2)
			release(t, l, c, 0)
		})
	})
	t.Run("the leader, with nobody behind", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			other := w.other()
			a := acquire(l, w)
			a.cancel()
			a.mustFail(t, context.Canceled)
			assert.Equal(t, []int{1}, w.queue(), "its place stays in the queue")
			other.Leave()
		})
	})
	t.Run("all while the next place is taken", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a, b := acquire(l, w), acquire(l, w)
			w.onJoin = func(*place) { giveUp(l, b) }
			w.history()
			release(t, l, a, 0)
			b.mustFail(t, context.Canceled)
			assert.Equal(t, []string{"join 2", "leave 1", "leave 2"}, w.history())
			w.onJoin = nil
		})
	})
	t.Run("come while the last place is left", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a := acquire(l, w)
			var b *acquiring
			w.onLeave = func(*place) { w.onLeave = nil; b = queueUp(l, w) }
			release(t, l, a, time.Hour)
			b.mustHold(t, 2)
			release(t, l, b, 0)
		})
	})
}

// lateContext is done at the moment at which the turn is given: the first look
// at it says it is not done, which is before.
type lateContext struct {
	context.Context
	done chan struct{}
	gone atomic.Bool
}

func (c *lateContext) Done() <-chan struct{} { return c.done }

func (c *lateContext) Err() error {
	if c.gone.Load() {
		return context.Canceled
	}
	return nil
}

// turnAndCancel gives a waiter its turn and cancels it before it runs again.
// The first of the two is what it wakes for. It needs a single processor.
func turnAndCancel(cancelFirst bool, give func(), c *lateContext) {
	c.gone.Store(true)
	if cancelFirst {
		close(c.done)
		give()
	} else {
		give()
		close(c.done)
	}
}

// late begins to acquire with a lateContext.
func late(l *local.Line, w *world) (c *lateContext, err *error) {
	c, err = &lateContext{Context: context.Background(), done: make(chan struct{})}, new(error)
	go func() { _, *err = l.Acquire(c, &attempt{w: w}) }()
	synctest.Wait()
	return c, err
}

// TestTurnAtCancel: a turn given at the very moment of a cancel is passed on.
func TestTurnAtCancel(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, batch := range map[string]time.Duration{"granted": time.Hour, "lead": 0} {
		for _, cancelFirst := range []bool{true, false} {
			for _, behind := range []int{0, 1, 3} {
				t.Run(fmt.Sprintf("%s, %d behind, cancel first %t", name, behind, cancelFirst), func(t *testing.T) {
					bubble(t, func(t *testing.T, l *local.Line, w *world) {
						a := acquire(l, w)
						c, err := late(l, w)
						var rest []*acquiring
						for range behind {
							rest = append(rest, acquire(l, w))
						}
						turnAndCancel(cancelFirst, func() { release(t, l, a, batch) }, c)
						synctest.Wait()
						require.ErrorIs(t, *err, context.Canceled)
						for _, r := range rest {
							synctest.Wait()
							require.True(t, r.done.Load(), "the turn was lost")
							require.NoError(t, r.err)
							release(t, l, r, batch)
						}
					})
				})
			}
		}
	}
}

func TestTry(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		try := func() (*attempt, turn.Passage, error) {
			a := &attempt{w: w}
			p, err := l.Try(context.Background(), a)
			return a, p, err
		}
		_, p, err := try()
		require.NoError(t, err)
		w.history()

		a, none, err := try()
		assert.ErrorIs(t, err, turn.ErrBusy)
		assert.Nil(t, none)
		assert.Equal(t, []string{"place 1, 1 ahead"}, a.behind)

		b, c := acquire(l, w), acquire(l, w)
		a, _, err = try()
		assert.ErrorIs(t, err, turn.ErrBusy)
		assert.Equal(t, []string{"place 1, 3 ahead"}, a.behind)
		assert.Empty(t, w.history(), "a try that fails in the line asks nobody")

		err = l.Release(p, time.Hour)
		require.NoError(t, err)
		b.mustHold(t, 1)
		other := w.other() // place 2
		release(t, l, b, 0)
		c.mustWait(t)
		a, _, err = try()
		assert.ErrorIs(t, err, turn.ErrBusy)
		assert.Equal(t, []string{"place 3, 1 ahead"}, a.behind, "where the leader waits")
		other.Leave()
		c.mustHold(t, 3)
		release(t, l, c, 0)
	})
}

// TestTryWhileJoining: the leader has no place yet to tell of.
func TestTryWhileJoining(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		try := &attempt{w: w}
		w.onJoin = func(*place) {
			w.onJoin = nil
			_, err := l.Try(context.Background(), try)
			assert.ErrorIs(t, err, turn.ErrBusy)
		}
		a := acquire(l, w)
		a.mustHold(t, 1)
		assert.Equal(t, []string{"place 0, 1 ahead"}, try.behind)
		release(t, l, a, 0)
	})
}

// TestJoinFails: the error is one goroutine's, and the next one tries anew.
func TestJoinFails(t *testing.T) {
	t.Run("of the leader", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.failJoin = func(p *place) error {
				if p.id == 1 {
					return errFault
				}
				return nil
			}
			var b *acquiring
			w.onJoin = func(p *place) {
				if p.id == 1 {
					b = queueUp(l, w)
				}
			}
			a := acquire(l, w)
			a.mustFail(t, errFault)
			b.mustHold(t, 2)
			release(t, l, b, 0)
		})
	})
	t.Run("at the hand-off", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.failJoin = func(p *place) error {
				if p.id == 2 || p.id == 3 {
					return errFault
				}
				return nil
			}
			a, b, c := acquire(l, w), acquire(l, w), acquire(l, w)
			w.history()
			release(t, l, a, 0) // is no error of the one who leaves
			b.mustFail(t, errFault)
			c.mustHold(t, 4)
			assert.Equal(t, []string{"join 2 fails", "leave 1", "join 3 fails", "join 4", "wait 4"}, w.history())
			release(t, l, c, 0)
		})
	})
}

// TestWaitFails: after an error that does not keep the place, the place is
// given up and the next one starts anew.
func TestWaitFails(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		w.failWait = func(p *place) error {
			if p.id == 1 {
				return errFault
			}
			return nil
		}
		var b *acquiring
		w.onWait = func(*place) { w.onWait = nil; b = queueUp(l, w) }
		a := acquire(l, w)
		a.mustFail(t, errFault)
		b.mustHold(t, 2)
		assert.Equal(t, []string{"join 1", "wait 1", "leave 1", "join 2", "wait 2"}, w.history())
		release(t, l, b, 0)
	})
}

// failLeaves fails the first n of a place's leaves.
func failLeaves(id, n int) func(*place) error {
	return func(p *place) error {
		if p.id == id && n > 0 {
			n--
			return errFault
		}
		return nil
	}
}

// TestReleaseFails: whatever a release returns, the lock is not held any more.
// The next one has its own place, and waits for the old one to go.
func TestReleaseFails(t *testing.T) {
	t.Run("others behind", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.failLeave = failLeaves(1, 1)
			a, b := acquire(l, w), acquire(l, w)
			w.history()
			assert.ErrorIs(t, l.Release(a.place, 0), errFault)
			b.mustWait(t)
			time.Sleep(2 * retryAfter)
			b.mustHold(t, 2)
			assert.Equal(t, []string{"join 2", "leave 1 fails", "wait 2", "leave 1"}, w.history())
			release(t, l, b, 0)
		})
	})
	t.Run("alone", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.failLeave = failLeaves(1, 1)
			a := acquire(l, w)
			assert.ErrorIs(t, l.Release(a.place, 0), errFault)
			b := acquire(l, w)
			b.mustWait(t)
			time.Sleep(2 * retryAfter)
			b.mustHold(t, 2)
			release(t, l, b, 0)
		})
	})
}

// TestLeaveFailsUnseen: where nobody sees that a place could not be given up,
// nobody loses a turn by it, and no place is left that nobody looks after.
func TestLeaveFailsUnseen(t *testing.T) {
	t.Run("of a cancelled leader", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			w.failLeave = failLeaves(2, 1)
			other := w.other()
			a := acquire(l, w)
			a.cancel()
			a.mustFail(t, context.Canceled)
			var leaving *local.LeaveError
			require.ErrorAs(t, a.err, &leaving)
			assert.Equal(t, []int{1, 2}, w.queue())
			other.Leave()
			b := acquire(l, w)
			b.mustWait(t)
			time.Sleep(2 * retryAfter)
			b.mustHold(t, 3)
			release(t, l, b, 0)
		})
	})
	t.Run("after a failed wait", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			waits := 0
			w.failWait = func(*place) error {
				if waits++; waits == 1 {
					return errFault
				}
				return nil
			}
			w.failLeave = failLeaves(1, 1)
			a := acquire(l, w)
			a.mustFail(t, errFault)
			b := acquire(l, w)
			time.Sleep(2 * retryAfter)
			b.mustHold(t, 2)
			release(t, l, b, 0)
		})
	})
	for _, behind := range []int{0, 1, 3} {
		t.Run(fmt.Sprintf("of a declined turn, %d behind", behind), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			bubble(t, func(t *testing.T, l *local.Line, w *world) {
				a := acquire(l, w)
				c, err := late(l, w)
				var rest []*acquiring
				for range behind {
					rest = append(rest, acquire(l, w))
				}
				w.failLeave = failLeaves(1, 1)
				turnAndCancel(true, func() { release(t, l, a, time.Hour) }, c)
				synctest.Wait()
				require.ErrorIs(t, *err, context.Canceled)
				time.Sleep(2 * retryAfter)
				for _, r := range rest {
					synctest.Wait()
					require.True(t, r.done.Load(), "its turn was lost")
					require.NoError(t, r.err)
					release(t, l, r, 0)
				}
			})
		})
	}
	t.Run("of a place taken for those who gave up", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *local.Line, w *world) {
			a, b := acquire(l, w), acquire(l, w)
			w.onJoin = func(*place) { w.onJoin = nil; giveUp(l, b) }
			w.failLeave = failLeaves(2, 1)
			release(t, l, a, 0)
			b.mustFail(t, context.Canceled)
			time.Sleep(2 * retryAfter)
			c := acquire(l, w)
			c.mustHold(t, 3)
			release(t, l, c, 0)
		})
	})
}

// occupancy counts who is inside.
type occupancy struct{ n atomic.Int64 }

// writer is what a writer counts, more than all readers together.
const writer int64 = 1 << 32

func weight(shared bool) int64 {
	if shared {
		return 1
	}
	return writer
}

func (o *occupancy) enter(t *testing.T, shared bool) {
	n := o.n.Add(weight(shared))
	if shared {
		assert.Less(t, n, writer, "a reader with a writer")
	} else {
		assert.Equal(t, writer, n, "two hold")
	}
}

func (o *occupancy) leave(shared bool) { o.n.Add(-weight(shared)) }

// TestStress has goroutines acquire, give up and try at random moments, while
// joins, waits and leaves fail at random. Never two hold, but for readers together;
// everybody is served or fails; and in the end nothing of ours is in the queue.
func TestStress(t *testing.T) {
	for name, tt := range map[string]struct {
		faults  float64
		batch   time.Duration
		readers float64
	}{
		"batches":            {0, 50 * time.Microsecond, 0},
		"no batch":           {0, 0, 0},
		"faults and batches": {0.05, 50 * time.Microsecond, 0},
		"faults":             {0.05, 0, 0},
		"readers":            {0, 50 * time.Microsecond, 0.5},
		"many readers":       {0, 50 * time.Microsecond, 0.9},
		"readers, no batch":  {0, 0, 0.5},
		"readers and faults": {0.05, 50 * time.Microsecond, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			l, w := new(local.Line), newWorld()
			w.quiet = true
			faulty := rand.New(rand.NewPCG(seed, 0)) // guarded by w.mu
			fault := func(*place) error {
				if faulty.Float64() < tt.faults {
					return errFault
				}
				return nil
			}
			w.failJoin, w.failWait, w.failLeave = fault, fault, fault
			w.requeues = func(*place) bool { return faulty.IntN(2) == 0 }

			var holds, given atomic.Int64
			var inside occupancy
			stop := make(chan struct{})
			var others, ours sync.WaitGroup
			others.Go(func() { // another process
				for r := rand.New(rand.NewPCG(seed, 1)); ; {
					select {
					case <-stop:
						return
					default:
					}
					p := &place{w: w, shared: r.Float64() < tt.readers}
					if p.Join(context.Background()) != nil {
						continue
					}
					for p.wait(context.Background()) != nil {
					}
					inside.enter(t, p.shared)
					inside.leave(p.shared)
					p.Leave()
					time.Sleep(time.Duration(r.IntN(100)) * time.Microsecond)
				}
			})
			for g := range 8 {
				ours.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(2+g)))
					for range 300 {
						ctx, cancel := context.WithCancel(context.Background())
						switch r.IntN(3) {
						case 0:
							ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(200))*time.Microsecond)
						case 1:
							time.AfterFunc(time.Duration(r.IntN(100))*time.Microsecond, cancel)
						}
						acquire := l.Acquire
						if r.IntN(8) == 0 {
							acquire = l.Try
						}
						a := &attempt{w: w, shared: r.Float64() < tt.readers, batch: tt.batch}
						p, err := acquire(ctx, a)
						if err != nil {
							given.Add(1)
							cancel()
							continue
						}
						inside.enter(t, a.shared)
						holds.Add(1)
						if r.IntN(4) == 0 {
							runtime.Gosched()
						}
						inside.leave(a.shared)
						l.Release(p, tt.batch)
						cancel()
					}
				})
			}
			ours.Wait()
			close(stop)
			others.Wait()
			assert.EqualValues(t, 8*300, holds.Load()+given.Load())
			assert.Zero(t, l.Waiting())

			w.behind.Wait()
			w.failJoin, w.failWait, w.failLeave = nil, nil, nil
			p, err := l.Acquire(context.Background(), &attempt{w: w})
			require.NoError(t, err)
			require.NoError(t, l.Release(p, 0))
			w.settled(t)
			t.Logf("%d holds, %d given up", holds.Load(), given.Load())
		})
	}
}
