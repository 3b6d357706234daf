package sim

import "github.com/filelock-go/filelock/internal/queue"

// contendPlain is the life of a contender that knows the plain rule: create a
// ticket, list, enter if it is the lowest, else list again later.
func (a *actor) contendPlain() {
	for range 1 + a.w.rng.IntN(a.w.plan.rounds) {
		a.step()
		a.file = a.w.create(a)
		if a.w.tracing {
			a.say("creates %s, plain", show(a.file))
		}
		for !a.lowest() {
			a.block(blockedOnChange, nil)
		}
		a.w.enter(a)
		for range a.w.rng.IntN(6) {
			a.step()
		}
		a.inside = false
		a.step()
		a.w.dir.remove(a.file)
		if a.w.tracing {
			a.say("removes %s", a.file.name)
		}
	}
}

// lowest lists, and reports whether the own ticket is the lowest of the living.
func (a *actor) lowest() bool {
	a.saw = a.w.dir.version
	best := queue.Ticket{Name: a.file.name, Number: a.file.number()}
	a.scan(func(f *file) {
		if t := (queue.Ticket{Name: f.name, Number: f.number()}); !f.dead && t.Before(best) {
			best = t
		}
	})
	if a.w.tracing {
		a.say("lists, and %s is the lowest", best.Name)
	}
	return best.Name == a.file.name
}
