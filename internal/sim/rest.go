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

// comeBack comes back to the own ticket, and reports whether that went well. If
// not, the ticket is gone.
func (a *actor) comeBack() bool {
	r := a.rests
	// Who comes back arrives now.
	a.createdAt = a.w.steps
	if a.w.tracing {
		a.say("comes back")
	}
	err := r.contender.Resume()
	if err != nil {
		if a.w.bend != BendLowersHolding || !errors.Is(err, queue.ErrMoved) {
			a.expect(err, errFault, queue.ErrGone)
		}
		a.wake()
		return false
	}
	a.rests = nil
	a.hold(r.own)
	a.leaveOrRest(r.own, r.contender)
	return true
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
	o.leaveEntry()
	return nil
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
