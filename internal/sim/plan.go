package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
)

// Mode is a kind of schedule; see the package documentation.
type Mode string

const (
	Queue  Mode = "queue"
	Tries  Mode = "tries"
	Cached Mode = "cached"
	Plain  Mode = "plain"
)

// Modes are all modes.
var Modes = []Mode{Queue, Tries, Cached, Plain}

// plan is all that a schedule decides beforehand.
type plan struct {
	actors   int // contenders of ours
	plain    int // contenders with the plain rule
	rounds   int // at most, for each
	clock    clock
	unit     time.Duration // what the directory stores times in
	last     queue.Number  // the last time it can store
	planted  []queue.Number
	atEnd    bool // a ticket at the end of time is planted: nobody gets through
	shared   int  // of 4 passages, how many are shared
	witness  bool // it can be seen whether an owner is in its doorway
	kept     bool // tickets of the dead cannot be removed
	cached   bool // rule R10
	removals int  // how many verdicts of "dead" or "stalled" are wrong
	touches  int  // how often somebody raises a waiter's number from outside
	rests    bool // holders come back to their tickets (R14)
	heirs    int  // how many holders crash and leave an heir
	faults   bool // operations fail now and then
	crashes  int
	cancels  int
	spurious int
	tryers   int // one in so many passages only tries; 0: none
	runOn    int // of 16 steps, how many stay with the same contender
	stalls   bool
}

var units = [...]time.Duration{1, 1, 1, 100, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second}

func newPlan(mode Mode, rng *rand.Rand) plan {
	coin := func(n int) bool { return rng.IntN(n) == 0 }
	p := plan{
		cached:   mode == Cached,
		actors:   2 + rng.IntN(3),
		rounds:   1 + rng.IntN(3),
		unit:     units[rng.IntN(len(units))],
		last:     queue.Number{Sec: math.MaxInt64, Nsec: 999_999_999},
		witness:  coin(2),
		kept:     coin(4),
		spurious: rng.IntN(3),
		runOn:    []int{0, 8, 14}[rng.IntN(3)],
		stalls:   coin(2),
		clock: clock{
			kind: clockKind(rng.IntN(int(clockKinds))),
			tick: []time.Duration{1, 1, 100, 4 * time.Millisecond, 3 * time.Second}[rng.IntN(5)],
			now:  plus(start, time.Duration(rng.Int64N(int64(5*time.Second)))),
		},
	}
	if coin(2) {
		p.shared = 1 + rng.IntN(4)
	}
	if mode == Tries {
		p.witness, p.rounds, p.tryers = true, 1, 1
		p.plant(rng)
		return p
	}
	if coin(3) {
		p.crashes = 1 + rng.IntN(2)
	}
	if coin(3) {
		p.cancels = 1 + rng.IntN(2)
	}
	if coin(4) {
		p.tryers = 1 + rng.IntN(3)
	}
	p.faults = coin(8)
	if !p.cached {
		if !p.kept && coin(2) {
			p.removals = 1 + rng.IntN(3)
		}
		if coin(4) {
			p.touches = 1 + rng.IntN(2)
		}
		p.rests = mode == Queue && coin(2)
		if mode == Queue && coin(4) {
			p.heirs = 1 + rng.IntN(2)
		}
	}
	if mode == Plain {
		// The rule for them needs a clock that never falls below what a
		// plain ticket has drawn, and nobody before the epoch.
		p.clock.kind %= ticking + 1
		p.plain = 1 + rng.IntN(2)
		p.actors = 1 + rng.IntN(3)
		return p
	}
	p.plant(rng)
	return p
}

// plant puts tickets of the dead into the plan.
func (p *plan) plant(rng *rand.Rand) {
	if rng.IntN(3) == 0 {
		for range 1 + rng.IntN(2) {
			n := plus(p.clock.now, time.Duration(rng.IntN(5)-2)*p.clock.tick)
			if rng.IntN(3) == 0 {
				n = queue.Number{Sec: -1 - rng.Int64N(1<<33), Nsec: int32(rng.IntN(1e9))}
			}
			p.planted = append(p.planted, n)
		}
	}
	if p.crashes > 0 && rng.IntN(16) == 0 { // never where all try: one must succeed
		if rng.IntN(2) == 0 {
			p.last = queue.Number{Sec: 1<<34 - 1} // in the year 2514
		}
		p.planted, p.atEnd = append(p.planted, p.last), true
	}
}

func (p *plan) String() string {
	return fmt.Sprintf("contenders %d plain %d rounds %d shared %d/4 unit %v clock %d tick %v planted %v witness %t kept %t removals %d touches %d rests %t heirs %d faults %t crashes %d cancels %d spurious %d tryers 1/%d",
		p.actors, p.plain, p.rounds, p.shared, p.unit, p.clock.kind, p.clock.tick, p.planted, p.witness, p.kept, p.removals, p.touches, p.rests, p.heirs, p.faults, p.crashes, p.cancels, p.spurious, p.tryers)
}
