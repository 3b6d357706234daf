package sim

import (
	"errors"

	"github.com/filelock-go/filelock/internal/queue"
)

// Rule R14: tickets that rest between two passages of their owner.

// resting is a ticket of one who has left, and its contender.
type resting struct {
	own       *own
	contender *queue.Contender
}

// leaveOrRest is leave for one who was inside, and may come back.
func (a *actor) leaveOrRest(o *own, c *queue.Contender) {
	if !a.w.plan.rests {
		a.leave(c)
		return
	}
	a.settledAt = never
	f := a.file
	rests, err := c.Rest()
	switch {
	case rests:
		a.rests = &resting{o, c}
		if a.w.tracing {
			a.say("rests")
		}
		for range a.w.rng.IntN(8) {
			a.step()
		}
		if a.w.rng.IntN(3) == 0 {
			a.wake() // as a timer does
		}
	case errors.Is(err, errFault):
		a.rests = &resting{o, c}
		a.wake()
	case f.robbed && errors.Is(err, queue.ErrGone):
	default:
		a.expect(err)
	}
}

// requeues exchanges the turn for the place at the tail, now and then.
func (a *actor) requeues(c *queue.Contender) bool {
	if !a.w.plan.rests || a.w.rng.IntN(4) > 0 {
		return false
	}
	a.createdAt, a.settledAt, a.admitted = a.w.steps, never, false
	return c.Requeue()
}

// comeBack comes back to the own ticket, and reports whether it could. If not,
// the ticket is gone. If it is inside, that is over when it returns.
func (a *actor) comeBack() (r *resting, inside bool) {
	r = a.rests
	// Who comes back arrives now.
	a.createdAt, a.settledAt, a.admitted = a.w.steps, never, false
	if a.w.tracing {
		a.say("comes back")
	}
	inside, err := r.contender.Resume()
	if err != nil {
		if a.w.bend != BendLowersHolding || !errors.Is(err, queue.ErrMoved) {
			a.expect(err, errFault, queue.ErrGone)
		}
		a.wake()
		return nil, false
	}
	a.rests = nil
	return r, inside
}

// wake removes the own ticket that rests, however often that fails. Anybody may
// have removed it before.
func (a *actor) wake() {
	r := a.rests
	a.rests = nil
	err := r.contender.Leave()
	for errors.Is(err, errFault) {
		err = r.contender.Leave()
	}
	a.expect(err, queue.ErrGone)
}

// Rest marks the own ticket, which shows that it is there, and gives up its entry
// lock.
func (o *own) Rest() error {
	if !o.file.marked {
		o.step()
		switch {
		case o.fault():
			return errFault
		case o.file.removed:
			return queue.ErrGone
		}
		o.file.marked = true
		if o.w.tracing {
			o.say("marks %s", show(o.file))
		}
	}
	o.file.settled = false // the witness goes, too
	o.leaveEntry()
	return nil
}

// Restamp is one step, but for giving up the entry lock.
func (o *own) Restamp(above queue.Number, rests bool) (queue.Number, error) {
	n, ok := above.Add(1)
	if !ok {
		return n, errFault
	}
	if rests && o.w.bend != BendRaisesFirst {
		o.leaveEntry()
		o.file.settled = false
	}
	o.step()
	switch {
	case o.fault():
		return n, errFault
	case o.file.removed:
		return n, queue.ErrGone
	}
	n = n.Max(o.w.clock.read(o.w.rng))
	o.w.store(o.file, n)
	o.file.marked = rests
	if o.w.tracing {
		o.say("sets %s, and rests: %t", show(o.file), rests)
	}
	if !rests {
		o.file.settled, o.first = false, nil
	} else if o.file.entered {
		o.step() // BendRaisesFirst
	}
	o.leaveEntry()
	return n, nil
}

// Times are the directory's: what changes within one tick cannot be told apart.
func (o *own) Times() (queue.Times, error) {
	o.step()
	if o.fault() {
		return queue.Times{}, errFault
	}
	return queue.Times{Modified: queue.Number{Sec: int64(o.w.dir.stamped)}}, nil
}

func (o *own) Settled(t queue.Times) bool { return int64(o.w.dir.tick) > t.Modified.Sec }
