package sim

import (
	"time"

	"github.com/filelock-go/filelock/internal/queue"
)

// Rule R13: entry locks, and who robs others of their tickets. In the cached
// mode there are no such locks.

// Enter takes the entry lock, and then looks the own name up.
func (o *own) Enter() (queue.Number, error) {
	o.step()
	if o.fault() {
		return queue.Number{}, errFault
	}
	removed := o.file.removed
	if o.w.bend == BendLooksFirst {
		o.step()
	}
	if !o.w.plan.cached && o.w.bend != BendNoEntry {
		if o.file.removers > 0 {
			return queue.Number{}, queue.ErrGone
		}
		o.file.entered = true
		if o.w.tracing {
			o.say("takes its entry lock")
		}
		o.step()
	}
	if o.w.bend != BendLooksFirst {
		removed = o.file.removed && o.w.bend != BendNoLook
	}
	if removed {
		return queue.Number{}, queue.ErrGone
	}
	o.admitted = true
	return o.view(o.file.number()), nil
}

// Reenter sees of a removal as much as Enter does.
func (o *own) Reenter() (queue.Number, error) { return o.Enter() }

// leaveEntry gives up the entry lock.
func (o *own) leaveEntry() {
	if !o.file.entered {
		return
	}
	o.file.entered = false
	if o.w.tracing {
		o.say("gives up its entry lock")
	}
	o.step()
}

// reclaim removes another's ticket, and reports whether it could: nobody can
// while the ticket's entry lock is held, nor is that to be had meanwhile.
func (a *actor) reclaim(f *file) bool {
	if a.w.plan.cached {
		a.unlink(f)
		return true
	}
	rests := f.marked
	a.step()
	if f.entered && a.w.bend != BendRobsHolders {
		return false
	}
	if rests && !f.marked && !f.dead && a.w.bend != BendRobsWaiters {
		return false // it has got in line again
	}
	if !f.dead && !f.marked && !rests {
		f.robbed = true
		a.w.plan.removals--
	}
	if a.w.tracing {
		a.say("locks %s to remove it", show(f))
	}
	if a.w.bend != BendTestsEntry {
		f.removers++
		defer func() { f.removers-- }() // after a crash, too
	}
	a.step()
	a.unlink(f)
	a.step()
	return true
}

// unlink removes f, unless somebody else was faster.
func (a *actor) unlink(f *file) {
	if f.removed {
		return
	}
	a.w.dir.remove(f)
	a.changedAt = a.w.dir.changes
	if a.w.tracing {
		a.say("removes %s", f.name)
	}
}

// misjudges reports whether a takes f's owner for dead or stalled without a
// reason. The plain rule knows no entry, so its tickets are judged rightly.
func (a *actor) misjudges(f *file) bool {
	return a.w.plan.removals > 0 && !f.plain && !f.dead && !f.marked && a.w.rng.IntN(4) == 0
}

// reap is the life of somebody who removes tickets wherever in the queue.
func (a *actor) reap() {
	for range 16 {
		for range 1 + a.w.rng.IntN(16) {
			a.step()
		}
		if n := len(a.w.dir.files); n > 0 {
			if f := a.w.dir.files[a.w.rng.IntN(n)]; a.misjudges(f) {
				a.reclaim(f)
			}
		}
	}
}

// bequeath leaves the ticket and its entry lock to an heir.
func (a *actor) bequeath() {
	heir := a.w.add((*actor).inherit)
	heir.file, heir.inside, heir.shared = a.file, true, a.shared
	heir.file.owner, heir.file.dead = heir, true
	if a.w.tracing {
		a.say("has an heir, %d", heir.id)
	}
}

// inherit is the life of a process that works on after the holder that started
// it has crashed. Its end is what ends the holder's locks.
func (a *actor) inherit() {
	for range a.w.rng.IntN(64) {
		a.step()
	}
	if a.w.tracing {
		a.say("ends")
	}
	a.inside = false
	a.close()
}

// touch raises the number of a's ticket from outside.
func (w *world) touch(a *actor) {
	a.file.robbed = true
	w.store(a.file, plus(a.file.number(), 10*time.Second))
	if w.tracing {
		w.say("somebody sets %s", show(a.file))
	}
}

// waits reports whether a has passed the doorway and has not been admitted yet.
// Whoever is touched earlier or later may find no trace of it: a raise in the
// doorway and R12 write over the number, and a holder does not look again.
func (a *actor) waits() bool { return a.settledAt != never && !a.admitted && !a.file.removed }
