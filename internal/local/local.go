// Package local lets the goroutines of one process share one place in a queue
// between processes.
//
// The goroutines stand in a line of their own, first come first served. The
// one at its head leads: it takes a ticket, waits until it is first between
// the processes, and holds. When it leaves, the next one may go on with the
// same ticket, for a while; then a new ticket is taken at the tail of the queue
// before the old one is given up, so that processes alternate.
package local

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrBusy is returned by Try when another goroutine holds or waits.
var ErrBusy = errors.New("local: another goroutine is ahead")

// Place is one place in the queue between processes. One goroutine at a time
// uses it.
type Place interface {
	// Join takes the place at the tail. On error there is none.
	Join() error
	// Resumable reports whether an error of Wait left the place in the queue,
	// so that another goroutine may go on waiting there.
	Resumable(err error) bool
	// Leave gives the place up. It reports false if the place could not be
	// given up, so that it is still held.
	Leave() (left bool, err error)
	// Lost reports whether the place was lost while it was held.
	Lost() bool
}

// Attempt is how one goroutine acquires.
type Attempt interface {
	// New returns a place yet to join.
	New() Place
	// Wait returns nil when the place has come to the head. After an error that
	// is resumable at the place, another goroutine may go on waiting there.
	Wait(ctx context.Context, p Place) error
	// Behind is called once when the attempt fails in the line: front is where
	// the line's leader waits or what its holder holds, if any, and goroutines
	// is how many are ahead.
	Behind(front Place, goroutines int)
}

// Line is the line of one process's goroutines for one queue. The zero value
// is ready to use.
type Line struct {
	mu      sync.Mutex
	busy    bool    // somebody leads, holds or leaves
	front   Place   // where the leader waits, or what the holder holds
	spares  []Place // in the queue for whoever comes next, in its order
	first   time.Time
	waiters waiters
}

// waiter is a goroutine in the line.
type waiter struct {
	attempt Attempt
	turn    chan turn // one turn is sent, once the waiter is out of the line

	next, prev *waiter // guarded by Line.mu
}

// idle are waiters for later use, their channels empty.
var idle = sync.Pool{New: func() any { return &waiter{turn: make(chan turn, 1)} }}

// turn is what a waiter is given: the lock, or the lead with a place that is
// already in the queue, or nil.
type turn struct {
	granted bool
	place   Place
}

// Acquire returns the place held. On error nothing is held.
func (l *Line) Acquire(ctx context.Context, a Attempt) (Place, error) {
	l.mu.Lock()
	if !l.busy {
		l.busy = true
		l.mu.Unlock()
		return l.lead(ctx, a, nil)
	}
	w := idle.Get().(*waiter)
	w.attempt = a
	l.waiters.push(w)
	l.mu.Unlock()
	t, ok := l.await(ctx, w)
	w.attempt = nil
	idle.Put(w)
	if !ok {
		return nil, ctx.Err()
	}
	if ctx.Err() != nil {
		l.decline(t)
		return nil, ctx.Err()
	}
	if t.granted {
		return t.place, nil
	}
	return l.lead(ctx, a, t.place)
}

// await returns w's turn. When ctx is done first, it takes w out of the line
// and reports false.
func (l *Line) await(ctx context.Context, w *waiter) (t turn, ok bool) {
	if ctx.Done() == nil {
		return <-w.turn, true // several times as fast as a select
	}
	select {
	case t := <-w.turn:
		return t, true
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case t := <-w.turn:
		return t, true // as we gave up
	default:
		w.attempt.Behind(l.front, l.waiters.before(w)+1)
		l.waiters.remove(w)
		return turn{}, false
	}
}

// Try is Acquire for those who do not wait behind other goroutines.
func (l *Line) Try(ctx context.Context, a Attempt) (Place, error) {
	l.mu.Lock()
	if l.busy {
		a.Behind(l.front, l.waiters.n+1)
		l.mu.Unlock()
		return nil, ErrBusy
	}
	l.busy = true
	l.mu.Unlock()
	return l.lead(ctx, a, nil)
}

// Waiting returns how many goroutines wait in the line, its leader not counted.
func (l *Line) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiters.n
}

// decline passes on a turn that came too late; others are behind us.
func (l *Line) decline(t turn) {
	if !t.granted {
		l.abdicate(t.place)
	} else if held, _ := l.Release(t.place, 0); held {
		// Nobody is there to try again: whoever comes next has it.
		l.mu.Lock()
		l.front = nil
		l.keep(t.place)
		l.next(turn{})
		l.mu.Unlock()
	}
}

// lead takes the line to the head of the queue between processes. p is a place
// in it already, or nil.
func (l *Line) lead(ctx context.Context, a Attempt, p Place) (Place, error) {
	if p == nil {
		l.mu.Lock()
		p = l.spare()
		l.mu.Unlock()
	}
	if p == nil {
		p = a.New()
		if err := p.Join(); err != nil {
			l.abdicate(nil)
			return nil, err
		}
	}
	l.mu.Lock()
	l.front = p
	l.mu.Unlock()
	err := a.Wait(ctx, p)
	switch {
	case err == nil:
		l.mu.Lock()
		l.first = time.Now()
		l.mu.Unlock()
		return p, nil
	case p.Resumable(err):
		return nil, withLeaving(err, l.abdicate(p))
	}
	l.mu.Lock()
	leaving := l.leave(p)
	l.mu.Unlock()
	l.abdicate(nil)
	return nil, withLeaving(err, leaving)
}

// LeaveError is why a place could not be given up after a failed acquisition.
// It is tried again later.
type LeaveError struct{ Err error }

func (e *LeaveError) Error() string { return e.Err.Error() }

func (e *LeaveError) Unwrap() error { return e.Err }

func withLeaving(err, leaving error) error {
	if leaving == nil {
		return err
	}
	return errors.Join(err, &LeaveError{leaving})
}

// abdicate hands the lead, and the place in the queue if there is one, to the
// next goroutine. With nobody there, it gives the place up.
func (l *Line) abdicate(p Place) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.front = nil
	if p != nil && l.waiters.n == 0 {
		err = l.leave(p)
		p = nil // somebody may have come meanwhile, and starts anew
	}
	l.next(turn{place: p})
	return err
}

// leave gives up a place that nobody holds. If that fails, the place is kept
// for the next one, who tries again after it. l.mu is held, but not meanwhile.
func (l *Line) leave(p Place) error {
	l.mu.Unlock()
	left, err := p.Leave()
	l.mu.Lock()
	if !left {
		l.keep(p)
	}
	return err
}

// keep puts p first among the spares: it is older than they are, and whoever
// waited at a younger one would wait for p too, which nobody gives up. There
// can be one already, taken by a Release that then failed. l.mu is held.
func (l *Line) keep(p Place) {
	l.spares = slices.Insert(l.spares, 0, p)
	l.retry(firstRetry)
}

const firstRetry, lastRetry = 100 * time.Millisecond, time.Minute

// retry gives up the spares after some time if nobody came to use them, or
// they would keep everybody else waiting for as long as this process lives.
// l.mu is held.
func (l *Line) retry(after time.Duration) {
	time.AfterFunc(after, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.busy || len(l.spares) == 0 {
			return // whoever is busy uses them, or keeps them again
		}
		l.busy = true
		p := l.spare()
		l.mu.Unlock()
		left, _ := p.Leave()
		l.mu.Lock()
		if !left {
			l.spares = slices.Insert(l.spares, 0, p)
			l.retry(min(2*after, lastRetry))
		} else if len(l.spares) > 0 {
			l.retry(firstRetry)
		}
		l.next(turn{})
	})
}

// spare takes the first of the spares, if any. l.mu is held.
func (l *Line) spare() Place {
	if len(l.spares) == 0 {
		return nil
	}
	p := l.spares[0]
	l.spares = slices.Delete(l.spares, 0, 1)
	return p
}

// next gives t to the first waiter, if any. l.mu is held.
func (l *Line) next(t turn) {
	w := l.waiters.first
	if w == nil {
		l.busy = false
		return
	}
	l.waiters.remove(w)
	w.turn <- t
}

// Release gives up p, as returned by Acquire; if it came to the head no longer
// than batch ago, it goes to the next goroutine instead. held reports that p
// could not be given up and is still held by the caller.
func (l *Line) Release(p Place, batch time.Duration) (held bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.waiters.first
	if w != nil && batch > 0 && !p.Lost() && time.Since(l.first) < batch {
		l.next(turn{granted: true, place: p})
		return false, nil
	}
	// Join and Leave take their time: let others get in line meanwhile. The
	// line stays busy, so nobody else gets at the place.
	if w != nil && len(l.spares) == 0 {
		spare := w.attempt.New()
		l.mu.Unlock()
		err := spare.Join() // let the next one see an error for itself
		l.mu.Lock()
		if err == nil {
			l.spares = append(l.spares, spare)
		}
	}
	l.mu.Unlock()
	left, err := p.Leave()
	l.mu.Lock()
	if !left {
		return true, err
	}
	spare := l.spare()
	l.front = nil
	if spare != nil && l.waiters.n == 0 { // all gave up meanwhile
		l.leave(spare)
		spare = nil
	}
	l.next(turn{place: spare})
	return false, err
}
