package sim

import (
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/filelock-go/filelock/internal/queue"
)

const (
	maxActors = 8
	// maxSteps is far beyond what any schedule takes that gets anywhere.
	maxSteps = 20_000
)

// Result is what became of one schedule.
type Result struct {
	Steps, Holds int
	Failure      *Failure // nil: none
	Trace        []string // if asked for
}

// Schedule says all about a schedule.
type Schedule struct {
	Mode  Mode
	Seed  uint64
	Bend  Bend // "": none
	Only  Kind // what counts as a failure; "": everything
	Trace bool // tell the steps in words
}

// Run runs one schedule.
func Run(s Schedule) Result {
	w := &world{mode: s.Mode, bend: s.Bend, only: s.Only, tracing: s.Trace}
	w.rng = rand.New(rand.NewPCG(s.Seed, 0))
	w.plan = newPlan(s.Mode, w.rng)
	w.clock, w.faulty = w.plan.clock, w.plan.faults
	if w.tracing {
		w.say("plan: %v", &w.plan)
	}
	for _, n := range w.plan.planted {
		f := w.newFile(nil)
		f.dead, f.shared = true, w.rng.IntN(4) < w.plan.shared
		w.store(f, n)
		f.numbers = f.numbers[len(f.numbers)-1:]
		if w.tracing {
			w.say("planted %s", show(f))
		}
	}
	for range w.plan.actors {
		w.add((*actor).contend)
	}
	for range w.plan.plain {
		w.add((*actor).contendPlain).plain = true
	}
	if w.plan.removals > 0 {
		w.add((*actor).reap)
	}
	w.run()
	return Result{Steps: w.steps, Holds: w.holds, Failure: w.failure, Trace: w.trace}
}

// world is one schedule as it runs.
type world struct {
	mode   Mode
	bend   Bend
	only   Kind
	plan   plan
	rng    *rand.Rand
	clock  clock
	faulty bool
	dir    directory
	used   [256]bool // of names
	named  int       // how many are used

	actors  []*actor
	last    *actor   // who had the last step
	ready   []*actor // scratch
	steps   int
	holds   int
	failure *Failure

	tracing bool
	trace   []string
}

func (w *world) add(life func(*actor)) *actor {
	a := &actor{w: w, id: len(w.actors), settledAt: never}
	a.next, a.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer a.end()
		a.yield = yield
		life(a)
	})
	w.actors = append(w.actors, a)
	return a
}

// newFile makes a ticket under a fresh name, stamped by the clock.
func (w *world) newFile(owner *actor) *file {
	if w.named++; w.named > len(names) {
		panic("more tickets than names")
	}
	i := w.rng.IntN(len(w.used))
	for w.used[i] {
		i = w.rng.IntN(len(w.used))
	}
	w.used[i] = true
	f := &file{name: names[i], owner: owner}
	w.store(f, w.clock.read(w.rng))
	w.dir.add(f)
	return f
}

func (w *world) create(owner *actor) *file {
	f := w.newFile(owner)
	f.plain, f.shared = owner.plain, owner.shared
	return f
}

// store gives f a number, as far as the directory can store it.
func (w *world) store(f *file, n queue.Number) {
	if n.Compare(w.plan.last) > 0 {
		n = w.plan.last
	}
	f.numbers = append(f.numbers, cut(n, w.plan.unit))
	f.moves++
	w.dir.version++
}

// names are all that tickets can have.
var names = func() (names [256]string) {
	for i := range names {
		names[i] = fmt.Sprintf("%02x.pid", i)
	}
	return names
}()
