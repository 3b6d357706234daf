package sim

import (
	"context"

	"github.com/filelock-go/filelock/internal/queue"
)

// Look follows the lock proper: the larger of the numbers known counts, and
// only a ticket of ours can be seen to be in the doorway.
func (o *own) Look(t queue.Ticket, last bool) (queue.Ticket, queue.Standing, error) {
	o.step()
	if o.fault() {
		return t, queue.Final, errFault
	}
	f := o.w.dir.find(t.Name)
	if o.w.bend == BendNumberFirst {
		t = o.renew(t, f)
		o.step()
		return t, o.standing(f, last), nil
	}
	standing := o.standing(f, last)
	o.step()
	return o.renew(t, f), standing, nil
}

// renew returns t with f's number, if that is larger than the one known.
func (o *own) renew(t queue.Ticket, f *file) queue.Ticket {
	if n := o.read(f); n.Compare(t.Number) > 0 {
		t.Number = n
	}
	return t
}

// standing is what f's ticket means to those behind it.
func (o *own) standing(f *file, last bool) queue.Standing {
	switch w := o.w; {
	case f.removed:
		return queue.Gone
	case f.marked && !f.entered && !f.dead:
		if !last {
			return queue.AtRest
		}
		if !w.plan.kept && o.reclaim(f) {
			return queue.Gone
		}
	case f.dead && w.plan.kept:
		if !f.entered || w.bend == BendSkipsHeir {
			return queue.Gone
		}
	case f.dead:
		if o.reclaim(f) {
			return queue.Gone
		}
	case o.misjudges(f):
		if w.bend == BendSkipsLive || o.reclaim(f) {
			return queue.Gone
		}
	}
	if o.w.plan.witness && !f.plain && !f.settled && !f.entered {
		return queue.Provisional
	}
	return queue.Final
}

// Watch begins to watch t.
func (o *own) Watch(t queue.Ticket) queue.Watch {
	o.step()
	w := &watch{own: o, file: o.w.dir.find(t.Name)}
	w.seen = w.reported()
	return w
}

// watch implements queue.Watch.
type watch struct {
	own  *own
	file *file
	seen int
}

// reported is how many events of the file a watch tells of. That an owner
// leaves the doorway is none, as in a real directory.
func (w *watch) reported() int {
	n := w.file.removals
	if w.own.w.bend != BendBlindToMoves {
		n += w.file.moves
	}
	if w.own.w.bend != BendBlindToDeath {
		n += w.file.deaths
	}
	return n
}

func (w *watch) Wait(ctx context.Context, soon bool) error {
	a := w.own.actor
	a.admitted = false
	if soon {
		a.step()
	} else {
		if a.w.tracing {
			a.say("waits for %s", show(w.file))
		}
		if !a.file.settled && !a.file.entered {
			a.w.fail(Unseen, "contender %d waits for %s", a.id, show(w.file))
		}
		a.block(blockedOnWatch, w)
	}
	w.seen = w.reported()
	if w.own.notices() {
		return queue.ErrGone
	}
	return ctx.Err()
}

func (w *watch) Stop() {}

var _ queue.Others = (*own)(nil)
