// Package local lets the goroutines of one process share one place in a queue
// between processes.
//
// The goroutines stand in a line of their own, first come first served. The
// one at its head leads: it takes a ticket, waits until it is first between
// the processes, and holds. When it leaves, the next one may go on with the
// same ticket, for a while; then a new ticket is taken at the tail of the queue
// before the old one is given up, so that processes alternate.
//
// Readers and writers stand in one line, and nobody overtakes. A ticket has a kind,
// and serves goroutines of that kind. Readers that stand together have one ticket
// together, see party.
package local

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/turn"
)

// Attempt is how one goroutine acquires.
type Attempt interface {
	// Shared is the attempt's kind.
	Shared() bool
	// Batch is how long after it came to the head a turn may be passed on, or joined.
	Batch() time.Duration
	// New returns a passage of that kind, yet to join.
	New() turn.Passage
	// Wait returns nil when it is the passage's turn. After an error that is
	// resumable at the passage, another goroutine may go on waiting there.
	Wait(ctx context.Context, p turn.Passage) error
	// Queued is called when the attempt begins to wait in the line. It must not block.
	Queued()
	// Behind is called once when the attempt fails in the line: front is where
	// the line's leader waits or what its holder holds, if any, and goroutines
	// is how many are ahead, as for Places. Readers that are inside by one turn count as
	// one.
	Behind(front turn.Passage, goroutines int)
}

// joinPatience is how long a holder that leaves waits for the line's next place,
// before it leaves without one.
const joinPatience = time.Second

// Line is the line of one process's goroutines for one queue. The zero value
// is ready to use.
type Line struct {
	mu      sync.Mutex
	busy    bool         // somebody leads, leaves, or holds alone
	shared  bool         // who is busy is a reader
	front   turn.Passage // where the leader waits, or what who holds alone holds
	leader  Attempt      // who waits there; nil: nobody
	first   time.Time    // when it came to the head; zero: not yet, since the line was last free
	waiters waiters
	parties []party // of the readers that are inside
}

// waiter is a goroutine in the line.
type waiter struct {
	attempt Attempt
	turn    chan given // one is sent, once the waiter is out of the line

	next, prev *waiter // guarded by Line.mu
}

// idle are waiters for later use, their channels empty.
var idle = sync.Pool{New: func() any { return newWaiter() }}

func newWaiter() *waiter { return &waiter{turn: make(chan given, 1)} }

// waiterFor returns an attempt's waiter. In a bubble of testing/synctest it is a new
// one each time: nobody outside may come upon its channel. To know that costs a look
// at the clock, unless who holds has had one: it is in the same bubble, or in none. l.mu
// is held.
func (l *Line) waiterFor(a Attempt) (w *waiter, bubbled bool) {
	if l.first.IsZero() {
		bubbled = bubble.Inside()
	} else {
		bubbled = bubble.Made(l.first)
	}
	if bubbled {
		w = newWaiter()
	} else {
		w = idle.Get().(*waiter)
	}
	w.attempt = a
	return w, bubbled
}

// given is what a waiter gets: the lock, or the lead with a passage that has
// joined already, or nil.
type given struct {
	granted bool
	passage turn.Passage
}

// Acquire returns the passage whose turn it is. On error nothing is held.
func (l *Line) Acquire(ctx context.Context, a Attempt) (turn.Passage, error) {
	l.mu.Lock()
	if !l.busy {
		return l.enter(ctx, a)
	}
	w, bubbled := l.waiterFor(a)
	l.waiters.push(w)
	l.mu.Unlock()
	a.Queued()
	t, ok := l.await(ctx, w)
	if w.attempt = nil; !bubbled {
		idle.Put(w)
	}
	if !ok {
		return nil, ctx.Err()
	}
	if ctx.Err() != nil {
		l.decline(t, a.Shared())
		return nil, ctx.Err()
	}
	if t.granted {
		return t.passage, nil
	}
	return l.lead(ctx, a, t.passage)
}

// enter acquires for one whom nobody is ahead of in the line. l.mu is held, and given
// up.
func (l *Line) enter(ctx context.Context, a Attempt) (turn.Passage, error) {
	if a.Shared() {
		if p := l.join(a.Batch()); p != nil {
			l.mu.Unlock()
			return p, nil
		}
	}
	l.busy, l.shared, l.first = true, a.Shared(), time.Time{}
	l.mu.Unlock()
	return l.lead(ctx, a, nil)
}

// await returns w's turn. When ctx is done first, it takes w out of the line
// and reports false.
func (l *Line) await(ctx context.Context, w *waiter) (t given, ok bool) {
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
		for o, ahead := range l.inLine() {
			if o == w {
				w.attempt.Behind(l.front, ahead)
				break
			}
		}
		l.waiters.remove(w)
		return given{}, false
	}
}

// Try is Acquire for those who do not wait behind other goroutines.
func (l *Line) Try(ctx context.Context, a Attempt) (turn.Passage, error) {
	l.mu.Lock()
	switch {
	case a.Shared() && l.onlyReaders():
		if l.busy {
			l.mu.Unlock()
			return l.tryBeside(ctx, a)
		}
	case l.busy:
		a.Behind(l.front, l.inTheWay(a.Shared()))
		l.mu.Unlock()
		return nil, turn.ErrBusy
	case len(l.parties) > 0:
		a.Behind(l.parties[0].passage, len(l.parties))
		l.mu.Unlock()
		return nil, turn.ErrBusy
	}
	return l.enter(ctx, a)
}

// Waiting returns how many goroutines wait in the line, its leader not counted.
func (l *Line) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiters.n
}

// Waits calls f for each goroutine that waits: for the one that leads, if it does, and
// for those in line. It returns what the line has, or waits for, at its front. None of
// them goes on meanwhile, so f must be quick, and must not use the line.
func (l *Line) Waits(f func(Attempt)) (front turn.Passage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leader != nil {
		f(l.leader)
	}
	for w := l.waiters.first; w != nil; w = w.next {
		f(w.attempt)
	}
	return l.front
}

// Report says what is ahead of one who would come now, with so many more ahead
// of it in this process.
func (l *Line) Report(more int) (r turn.Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.front != nil {
		r = l.front.Report()
	}
	r.Ahead += more
	return r
}

// Places calls f for each goroutine that waits, as Waits does, with how many goroutines are
// ahead of it: who leads or holds, and those in line before it. To one that would share
// the turn those that would, too, are not in the way, and do not count. It returns the front: where
// the leader waits or what who holds alone holds, nil if there is none just now.
func (l *Line) Places(f func(a Attempt, ahead int)) (front turn.Passage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leader != nil {
		f(l.leader, 0)
	}
	for w, ahead := range l.inLine() {
		f(w.attempt, ahead)
	}
	return l.front
}

// inLine goes through those in line, and how many are ahead of each. l.mu is held.
func (l *Line) inLine() iter.Seq2[*waiter, int] {
	return func(yield func(*waiter, int) bool) {
		all, exclusive := 1, l.busyAlone()
		for w := l.waiters.first; w != nil; w = w.next {
			ahead := all
			if w.attempt.Shared() {
				ahead = exclusive
			} else {
				exclusive++
			}
			if all++; !yield(w, ahead) {
				return
			}
		}
	}
}

// inTheWay returns how many would be ahead of one who came now. l.mu is held, and the
// line is busy.
func (l *Line) inTheWay(shared bool) int {
	if shared {
		return l.busyAlone() + l.waiters.exclusive
	}
	return 1 + l.waiters.n
}

// busyAlone returns 1 if who leads or holds is in the way of a reader, or else 0. l.mu is
// held, and the line is busy.
func (l *Line) busyAlone() int {
	if l.shared {
		return 0
	}
	return 1
}

// decline passes on what came too late; others are behind us.
func (l *Line) decline(t given, shared bool) {
	if t.granted {
		_ = l.Release(t.passage, 0)
	} else {
		_ = l.abdicate(t.passage, shared)
	}
}

// lead takes the line to the head of the queue between processes. p has joined
// it already, or is nil.
func (l *Line) lead(ctx context.Context, a Attempt, p turn.Passage) (turn.Passage, error) {
	if p == nil {
		p = a.New()
		if err := p.Join(ctx); err != nil {
			_ = l.abdicate(nil, a.Shared())
			return nil, err
		}
	}
	l.mu.Lock()
	l.front, l.leader = p, a
	l.mu.Unlock()
	err := a.Wait(ctx, p)
	switch {
	case err == nil:
		l.mu.Lock()
		l.leader = nil
		if l.first = time.Now(); a.Shared() {
			l.admit(p)
		}
		l.mu.Unlock()
		return p, nil
	case p.Resumable(err):
		return nil, withLeaving(err, l.abdicate(p, a.Shared()))
	}
	leaving := p.Leave()
	_ = l.abdicate(nil, a.Shared())
	return nil, withLeaving(err, leaving)
}

// LeaveError is the error of an acquisition whose place could not be given up
// at once after it had failed.
type LeaveError struct {
	Failure error // of the acquisition
	Err     error // of giving the place up
}

func (e *LeaveError) Error() string { return e.Failure.Error() + "\n" + e.Err.Error() }

func (e *LeaveError) Unwrap() []error { return []error{e.Failure, e.Err} }

func withLeaving(err, leaving error) error {
	if leaving == nil {
		return err
	}
	return &LeaveError{Failure: err, Err: leaving}
}

// abdicate hands the lead, and the place in the queue if there is one, to the
// next goroutine.
func (l *Line) abdicate(p turn.Passage, shared bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.front, l.leader = nil, nil
	return l.handOn(p, shared)
}

// handOn gives the lead to the next goroutine, and with it a place in the queue if
// there is one. If nobody is there, or only somebody of another kind, it gives the
// place up. l.mu is held.
func (l *Line) handOn(p turn.Passage, shared bool) (err error) {
	if w := l.waiters.first; p != nil && (w == nil || w.attempt.Shared() != shared) {
		err = l.leave(p)
		p = nil // somebody may have come meanwhile, and starts anew
	}
	l.next(given{passage: p})
	return err
}

// leave gives up a place. l.mu is held, but not meanwhile: let others get in
// line. The line stays busy, so that nobody else leads.
func (l *Line) leave(p turn.Passage) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	return p.Leave()
}

// next gives t to the first waiter, if any. l.mu is held.
func (l *Line) next(t given) {
	w := l.waiters.first
	if w == nil {
		l.busy = false
		return
	}
	l.waiters.remove(w)
	l.shared = w.attempt.Shared()
	w.turn <- t
}

// Release gives up p, as returned by Acquire; if it came to the head no longer
// than batch ago, it goes to the next goroutine instead, if that is of its kind.
// Whatever it returns, p is not held any more by who calls.
func (l *Line) Release(p turn.Passage, batch time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.partyOf(p); i >= 0 {
		return l.depart(i)
	}
	w := l.waiters.first
	alike := w != nil && !w.attempt.Shared()
	if alike && batch > 0 && !p.Lost() && time.Since(l.first) < batch {
		l.next(given{granted: true, passage: p})
		return nil
	}
	if alike && l.requeue(p) {
		l.front = nil
		_ = l.handOn(p, false) // the next may have given up meanwhile
		return nil
	}
	return l.endTurn(p, l.leave)
}

// endTurn gives up the turn as end does, when a place at the tail has been taken for those
// behind. l.mu is held, but not meanwhile.
func (l *Line) endTurn(p turn.Passage, end func(turn.Passage) error) error {
	var tail turn.Passage
	var shared bool // tail's kind
	if w := l.waiters.first; w != nil {
		shared = w.attempt.Shared()
		tail = l.joinTail(w.attempt)
	}
	err := end(p)
	l.front = nil
	_ = l.handOn(tail, shared) // the next may have given up meanwhile
	return err
}

// requeue exchanges the turn for a place at the tail, if that can be done. l.mu is
// held, but not meanwhile.
func (l *Line) requeue(p turn.Passage) bool {
	r, ok := p.(turn.Requeuer)
	if !ok || p.Lost() {
		return false
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	return r.Requeue()
}

// joinTail takes a place for those behind, before the old one is given up. If it
// cannot, the next one sees the error for itself. l.mu is held, but not
// meanwhile.
func (l *Line) joinTail(a Attempt) turn.Passage {
	p := a.New()
	l.mu.Unlock()
	defer l.mu.Lock()
	ctx, cancel := context.WithTimeout(context.Background(), joinPatience)
	defer cancel()
	if p.Join(ctx) != nil {
		return nil
	}
	return p
}
