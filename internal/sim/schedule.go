package sim

// run lets the contenders run until all have finished or something failed.
func (w *world) run() {
	defer func() {
		for _, a := range w.actors {
			a.stop()
		}
	}()
	for w.failure == nil {
		w.events()
		a := w.pick()
		if a == nil {
			w.checkEnd()
			return
		}
		if w.steps++; w.steps > maxSteps {
			w.fail(NoProgress, "%d steps and no end: %s", maxSteps, w.states())
			return
		}
		w.last = a
		a.blocked = free
		a.next()
	}
}

// events are what happens to contenders from outside.
func (w *world) events() {
	p := &w.plan
	if p.rests && p.clock.kind != frozen && w.rng.IntN(4) == 0 {
		w.dir.tick++
	}
	if p.crashes > 0 && w.rng.IntN(64) == 0 {
		if a := w.anyone(); !a.done {
			p.crashes--
			a.crash()
		}
	}
	if p.heirs > 0 && w.rng.IntN(16) == 0 {
		if a := w.anyone(); a.inside {
			p.heirs--
			a.bequeath()
			a.crash()
		}
	}
	if p.cancels > 0 && w.rng.IntN(32) == 0 {
		if a := w.anyone(); a.ctx != nil && !a.ctx.done {
			p.cancels--
			a.ctx.done = true
			if w.tracing {
				a.say("is cancelled")
			}
		}
	}
	if p.touches > 0 && w.rng.IntN(32) == 0 {
		if a := w.anyone(); a.waits() {
			p.touches--
			w.touch(a)
		}
	}
	// A cached number may be old at the moment of a change, so that there must
	// be a later look: the lock proper polls.
	if (p.spurious > 0 || w.plan.cached) && w.rng.IntN(32) == 0 {
		if a := w.anyone(); a.blocked == blockedOnWatch {
			p.spurious--
			a.blocked = free
		}
	}
	if p.stalls && w.rng.IntN(32) == 0 {
		w.anyone().stalledUntil = w.steps + w.rng.IntN(64)
	}
}

func (w *world) anyone() *actor { return w.actors[w.rng.IntN(len(w.actors))] }

// pick returns who goes next, or nil if nobody can.
func (w *world) pick() *actor {
	w.ready = w.ready[:0]
	stalled := false
	for _, a := range w.actors {
		switch {
		case !a.ready():
		case a.stalledUntil > w.steps:
			stalled = true
		default:
			w.ready = append(w.ready, a)
			if a == w.last && w.rng.IntN(16) < w.plan.runOn {
				return a
			}
		}
	}
	if len(w.ready) == 0 && (stalled || w.plan.cached && w.poll() || w.patrol()) {
		for _, a := range w.actors {
			a.stalledUntil = 0
		}
		return w.pick()
	}
	if len(w.ready) == 0 {
		return nil
	}
	return w.ready[w.rng.IntN(len(w.ready))]
}

// patrol has those look for their own tickets who wait and were robbed of them. The
// lock proper does that about once a second: the one ahead may come back to its own
// again and again, and sees nobody.
func (w *world) patrol() (any bool) {
	for _, a := range w.actors {
		if a.blocked == blockedOnWatch && a.file.removed {
			a.blocked, any = free, true
		}
	}
	return any
}

// poll has all look again who wait for a ticket, if any do.
func (w *world) poll() (any bool) {
	w.steps++ // a poll that leads nowhere is not to go on for ever
	for _, a := range w.actors {
		if a.blocked == blockedOnWatch {
			a.blocked, any = free, true
		}
	}
	return any
}
