package sim

import (
	"fmt"
	"strings"
)

// Kind is what a failed schedule broke.
type Kind string

const (
	Overlap    Kind = "overlap"          // two were inside, neither both plain nor both shared
	Overtaken  Kind = "overtaken"        // one came in before another that excludes it, and whose number was final before it arrived
	Deadlock   Kind = "deadlock"         // somebody waits, and nobody can go on
	NoProgress Kind = "no progress"      // somebody goes on and on
	Unseen     Kind = "unseen"           // somebody waits, and nobody can see that it is alive
	LeftBehind Kind = "left behind"      // a file of the living is still there at the end
	TryCount   Kind = "tries"            // of all who tried at once, nobody succeeded, or not all that could
	Unexpected Kind = "unexpected error" // an operation of the algorithm failed without a fault
	Panic      Kind = "panic"
)

// Failure is the first thing that went wrong in a schedule.
type Failure struct {
	Kind   Kind
	Detail string
}

func (f *Failure) Error() string { return fmt.Sprintf("%s: %s", f.Kind, f.Detail) }

// fail notes a failure, and the schedule ends at the next step. One of a kind
// that does not count is passed over: many mistakes show first in the order,
// and it is worth knowing whether they also let two in.
func (w *world) fail(kind Kind, format string, args ...any) {
	if w.failure == nil && (w.only == "" || w.only == kind) {
		w.failure = &Failure{Kind: kind, Detail: fmt.Sprintf(format, args...)}
	}
}

// enter lets a in, and checks that it may.
func (w *world) enter(a *actor) {
	w.holds++
	a.inside = true
	if w.tracing {
		a.say("is in")
	}
	for _, b := range w.actors {
		if b == a || a.shared && b.shared {
			continue
		}
		if b.inside && !(a.plain && b.plain) {
			w.fail(Overlap, "contender %d came in while %d was inside", a.id, b.id)
		}
		// Plain ones keep no order, and disturb that of the others.
		if w.mode != Plain && !b.inside && b.settledAt < a.createdAt && !b.file.robbed {
			w.fail(Overtaken, "contender %d arrived in step %d and is in before %d, whose number was final in step %d",
				a.id, a.createdAt, b.id, b.settledAt)
		}
	}
}

// checkEnd checks how the world was left when nobody can go on.
func (w *world) checkEnd() {
	for _, a := range w.actors {
		if !a.done {
			w.fail(Deadlock, "nobody can go on: %s", w.states())
			return
		}
	}
	for _, f := range w.dir.files {
		if !f.dead && (!f.marked || w.plan.kept) {
			w.fail(LeftBehind, "%s of contender %d", f.name, f.owner.id)
		}
	}
	if w.mode == Tries && !w.plan.atEnd {
		w.checkTries()
	}
}

// checkTries checks how many of those succeeded that all tried at once and stayed
// inside: one, or all if all are shared. Of a mixture some do, at least one: that no
// two exclude each other was seen as they entered.
func (w *world) checkTries() {
	shared := 0
	for _, a := range w.actors {
		if a.shared {
			shared++
		}
	}
	least, most := 1, max(1, shared)
	if shared == len(w.actors) {
		least = shared
	}
	if w.holds < least || w.holds > most {
		w.fail(TryCount, "%d of %d got in, %d of them shared", w.holds, len(w.actors), shared)
	}
}

// states says who waits for what.
func (w *world) states() string {
	var s []string
	for _, a := range w.actors {
		switch {
		case a.crashed:
			s = append(s, fmt.Sprintf("%d crashed", a.id))
		case a.done:
			s = append(s, fmt.Sprintf("%d finished", a.id))
		case a.blocked == blockedOnWatch:
			s = append(s, fmt.Sprintf("%d waits for %s", a.id, show(a.watch.file)))
		case a.blocked != free:
			s = append(s, fmt.Sprintf("%d waits", a.id))
		case a.inside:
			s = append(s, fmt.Sprintf("%d is inside", a.id))
		default:
			s = append(s, fmt.Sprintf("%d goes on", a.id))
		}
	}
	return strings.Join(s, ", ")
}
