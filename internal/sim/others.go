package sim

import (
	"context"

	"github.com/filelock-go/filelock/internal/queue"
)

// Look follows the lock proper: the larger of the numbers known counts, and
// only a ticket of ours can be seen to be in the doorway.
func (o *own) Look(t queue.Ticket) (queue.Ticket, queue.Standing, error) {
	o.step()
	if o.fault() {
		return t, queue.Final, errFault
	}
	f := o.w.dir.find(t.Name)
	if f.removed {
		return t, queue.Gone, nil
	}
	if n := o.read(f); n.Compare(t.Number) > 0 {
		t.Number = n
	}
	provisional := o.w.plan.witness && !f.plain && !f.settled
	hasty := provisional && o.w.plan.hasty && o.w.rng.IntN(4) == 0
	switch {
	case f.dead && o.w.plan.kept, hasty && o.w.bend == BendSkipsLive:
		return t, queue.Gone, nil
	case f.dead, hasty, o.removesLive():
		if o.w.tracing {
			o.say("reclaims %s", show(f))
		}
		o.unlink(f)
		return t, queue.Gone, nil
	case provisional:
		return t, queue.Provisional, nil
	default:
		return t, queue.Final, nil
	}
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
	if soon {
		a.step()
	} else {
		if a.w.tracing {
			a.say("waits for %s", show(w.file))
		}
		a.block(blockedOnWatch, w)
	}
	w.seen = w.reported()
	return ctx.Err()
}

func (w *watch) Stop() {}

var _ queue.Others = (*own)(nil)
