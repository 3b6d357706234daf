package sim

import (
	"context"
	"errors"
	"math"
	"runtime/debug"

	"github.com/filelock-go/filelock/internal/queue"
)

// never is later than all steps.
const never = math.MaxInt

// actor is one contender, over all its rounds.
type actor struct {
	w     *world
	id    int
	plain bool

	// The coroutine.
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool

	blocked      blocked
	watch        *watch // for blockedOnWatch
	saw          int    // for blockedOnChange
	stalledUntil int
	ctx          *cancellable // while it waits
	done         bool
	crashed      bool

	file      *file // the ticket
	shared    bool  // the kind of its passage
	admitted  bool  // by Enter, and it does not wait again
	inside    bool
	createdAt int // in steps
	settledAt int // in steps; never: not yet, or it is about to leave
	changedAt int // its own last change of the directory; see cache.go
	rests     *resting
	todo      []*file
}

type blocked int

const (
	free            blocked = iota
	blockedOnWatch          // until the watch reports something, or a cancel
	blockedOnChange         // until anything changed in the directory
	blockedOnOthers         // until all others have finished, or wait for that, too
)

// gone is what a contender panics with when it is to vanish on the spot.
type gone struct{}

// step hands over. Whatever comes after it happens in one piece.
func (a *actor) step() {
	if !a.yield(struct{}{}) {
		panic(gone{})
	}
}

// block hands over until there is a reason to go on.
func (a *actor) block(on blocked, w *watch) {
	a.blocked, a.watch = on, w
	a.step()
}

func (a *actor) ready() bool {
	if a.done {
		return false
	}
	switch a.blocked {
	case blockedOnWatch:
		return a.watch.reported() != a.watch.seen || a.ctx.done
	case blockedOnChange:
		return a.saw != a.w.dir.version
	case blockedOnOthers:
		for _, b := range a.w.actors {
			if b != a && !b.done && !(b.inside && b.blocked == blockedOnOthers) {
				return false
			}
		}
	}
	return true
}

// end is deferred by the coroutine.
func (a *actor) end() {
	a.done = true
	switch r := recover().(type) {
	case nil, gone:
	default:
		a.w.fail(Panic, "%v\n%s", r, debug.Stack())
	}
}

// crash ends the contender at once. Its ticket stays, and is dead.
func (a *actor) crash() {
	if a.w.tracing {
		a.say("crashes")
	}
	a.crashed, a.inside, a.settledAt = true, false, never
	a.close()
	a.stop()
	a.done = true // also if it had not begun
}

// close is what the kernel does for a process that ends.
func (a *actor) close() {
	for _, f := range a.w.dir.files {
		if f.owner == a {
			f.dead, f.entered = true, false
			f.deaths++
		}
	}
	a.w.dir.version++
}

// cancellable is a context that the schedule cancels.
type cancellable struct {
	context.Context
	done bool
}

func (c *cancellable) Err() error {
	if c.done {
		return context.Canceled
	}
	return nil
}

// contend is the life of one of our contenders.
func (a *actor) contend() {
	for range 1 + a.w.rng.IntN(a.w.plan.rounds) {
		for a.pass() {
		}
	}
	// One that stays at rest for ever is in nobody's way, if it may be removed.
	if a.rests != nil && (a.w.plan.kept || a.w.rng.IntN(2) == 0) {
		a.wake()
	}
}

// pass is one passage through the queue. It reports whether it was robbed of
// its place before its turn had come, and has to start anew.
func (a *actor) pass() (again bool) {
	a.shared = a.w.plan.shared > 0 && a.w.rng.IntN(4) < a.w.plan.shared
	o, c, inside := a.join()
	if c == nil {
		return false
	}
	if inside {
		a.hold(o)
		a.leaveOrRest(o, c)
		return false
	}
	try := a.w.plan.tryers > 0 && a.w.rng.IntN(a.w.plan.tryers) == 0
	err := a.wait(c, try)
	for err == nil {
		a.hold(o)
		if !a.requeues(c) {
			a.leaveOrRest(o, c)
			return false
		}
		err = a.wait(c, false)
	}
	switch {
	case a.file.robbed && (errors.Is(err, queue.ErrGone) || errors.Is(err, queue.ErrMoved)):
		again = true
	case errors.Is(err, queue.ErrTop) && a.w.plan.atEnd:
	default:
		a.expect(err, errFault, queue.ErrBusy, context.Canceled)
	}
	a.leave(c)
	return again
}

// wait goes through the queue, or gives up.
func (a *actor) wait(c *queue.Contender, try bool) error {
	err := a.enter(c, try)
	for a.resumes(err) {
		err = a.enter(c, false)
	}
	return err
}

// join takes a place in the queue, or comes back to the own ticket; then it may be
// inside at once. It returns nil if it could do neither.
func (a *actor) join() (o *own, c *queue.Contender, inside bool) {
	if a.rests != nil && a.rests.own.file.shared != a.shared && a.w.bend != BendOtherKind {
		a.wake() // it is of no use for this, and in the way
	}
	if a.rests != nil {
		if r, inside := a.comeBack(); r != nil {
			return r.own, r.contender, inside
		}
	}
	o = &own{actor: a}
	c = queue.New(o, o, a.w.mode == Plain)
	if a.shared {
		c.Share()
	}
	if a.w.plan.rests {
		c.MayRest()
	}
	if err := c.Join(); err != nil {
		a.expect(err, errFault)
		return nil, nil, false
	}
	return o, c, false
}

func (a *actor) enter(c *queue.Contender, try bool) error {
	a.ctx = &cancellable{Context: context.Background()}
	defer func() { a.ctx = nil }()
	if try {
		return c.Try(a.ctx)
	}
	return c.Wait(a.ctx)
}

// resumes reports whether to go on waiting after err at the same place.
func (a *actor) resumes(err error) bool {
	again := errors.Is(err, context.Canceled) || errors.Is(err, queue.ErrBusy) && a.w.mode != Tries
	if again = again && a.w.rng.IntN(2) == 0; again && a.w.tracing {
		a.say("waits again after: %v", err)
	}
	return again
}

func (a *actor) hold(o *own) {
	a.w.enter(a)
	if a.w.mode == Tries {
		a.block(blockedOnOthers, nil)
	}
	for range a.w.rng.IntN(6) {
		a.step()
		if !o.file.removed {
			o.bendHolding()
		}
	}
	a.inside = false
	if a.w.tracing {
		a.say("is out")
	}
}

// leave removes the ticket, however often that fails. Somebody may remove it
// wrongly until the very end, also once its entry lock is given up.
func (a *actor) leave(c *queue.Contender) {
	a.settledAt = never
	f := a.file
	err := c.Leave()
	for errors.Is(err, errFault) {
		err = c.Leave()
	}
	if f.robbed && errors.Is(err, queue.ErrGone) {
		return
	}
	a.expect(err)
}

// expect fails the schedule if err is an error of another kind.
func (a *actor) expect(err error, kinds ...error) {
	if err == nil {
		return
	}
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return
		}
	}
	a.w.fail(Unexpected, "contender %d: %v", a.id, err)
}
