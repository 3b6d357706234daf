package fence

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bend is a way to use the record that is known to be wrong.
type bend struct {
	faults
	noLastCheck bool // a token counts though the lock was lost since
	before      bool // it is taken before the lock is entered
	atRelease   bool // it is the last one and one more, and written when the lock is released
	trusting    bool // who has just opened the record goes by its limit
}

// world is a lock with leases, a record and its takers, and a schedule that is
// determined by what choose returns.
type world struct {
	bend
	disk   *disk
	alone  bool
	made   bool // the record is there from the beginning
	shared bool // all are readers: they are inside together
	choose func(n int) int
	trace  []string

	actors []*actor
	losses int // of power, that are left
	kills  int
	robs   int

	entries int
	grants  []grantOf
	wrong   string
}

// grantOf is a token that an acquisition has returned.
type grantOf struct {
	entered int // the how-manieth entry it was
	done    int // how many entries there were when it was returned
	token   uint64
}

// actor is one process that takes the lock some times.
type actor struct {
	id      int
	next    func() (string, bool)
	stop    func()
	inside  bool
	done    bool
	blocked bool
}

// killed ends a coroutine.
type killed struct{}

func (w *world) start(id, rounds int) *actor {
	a := &actor{id: id}
	body := func(yield func(string) bool) {
		defer func() {
			if r := recover(); r != nil && r != (killed{}) {
				panic(r)
			}
		}()
		step := func(what string) {
			if !yield(what) {
				panic(killed{})
			}
		}
		dir := &fake{disk: w.disk, faults: w.faults, step: step}
		r := newRecord("record", func() bool { return w.alone }, dir)
		defer r.timer.Stop()
		r.watched = false
		for range rounds {
			w.round(a, r, dir, step)
		}
	}
	a.next, a.stop = iter.Pull(iter.Seq[string](body))
	return a
}

// round takes the lock, a token, and gives the lock back.
func (w *world) round(a *actor, r *Record, dir *fake, step func(string)) {
	var token uint64
	var err error
	take := func() {
		if w.trusting && r.open() == nil {
			r.watched = true
		}
		token, err = r.Next()
	}
	if w.before {
		take()
	}
	for step("enter"); !w.shared && w.anyInside(); step("enter") {
		a.blocked = true
	}
	a.blocked, a.inside = false, true
	w.entries++
	entered := w.entries
	switch {
	case w.atRelease:
		if err = r.open(); err == nil {
			names, _ := dir.list()
			s, _ := highest(names)
			token = s.last + 1
		}
	case !w.before:
		take()
	}
	if err != nil {
		w.wrong = err.Error()
		return
	}
	step("check")
	if a.inside || w.noLastCheck {
		w.granted(grantOf{entered: entered, done: w.entries, token: token})
	}
	if w.atRelease {
		step("work")
	}
	if w.atRelease && a.inside {
		_ = dir.move(w.disk.names[0], state{last: token, limit: token, synced: true}.String())
		_ = dir.sync(false)
	}
	a.inside = false
}

func (w *world) anyInside() bool {
	for _, a := range w.actors {
		if a.inside {
			return true
		}
	}
	return false
}

// granted checks a token against all before: it must be higher than those of all who
// had been granted theirs when this one entered, and equal to none; and if one after
// another is inside, lower than all of those who entered after this one.
func (w *world) granted(g grantOf) {
	for _, o := range w.grants {
		switch {
		case o.token == g.token:
			w.wrong = fmt.Sprintf("token %d twice", g.token)
		case o.done < g.entered && o.token > g.token:
			w.wrong = fmt.Sprintf("token %d after %d", g.token, o.token)
		case !w.shared && o.entered > g.entered && o.token < g.token:
			w.wrong = fmt.Sprintf("token %d of one who entered before the one with %d", g.token, o.token)
		}
	}
	w.grants = append(w.grants, g)
}

// run plays one schedule to its end.
func (w *world) run(processes, rounds int) {
	w.disk = new(disk)
	if w.made {
		w.disk.born, w.disk.names = true, []string{"5-9"}
	}
	w.disk.save()
	for id := range processes {
		w.actors = append(w.actors, w.start(id, rounds))
	}
	defer func() {
		for _, a := range w.actors {
			a.stop()
		}
	}()
	for id := processes; w.wrong == ""; {
		var ready []*actor
		for _, a := range w.actors {
			if !a.done && (!a.blocked || !w.anyInside()) {
				ready = append(ready, a)
			}
		}
		if len(ready) == 0 {
			return
		}
		n := len(ready)
		events := []func(){}
		if w.losses > 0 {
			events = append(events, func() { id = w.losePower(id, processes, rounds) })
		}
		for _, a := range w.actors {
			if w.kills > 0 && !a.done {
				events = append(events, func() { w.kill(a) })
			}
			if w.robs > 0 && a.inside && !w.shared {
				events = append(events, func() { w.rob(a) })
			}
		}
		c := w.choose(n + len(events))
		if c >= n {
			events[c-n]()
			continue
		}
		a := ready[c]
		what, ok := a.next()
		w.trace = append(w.trace, fmt.Sprintf("%d %s %v", a.id, what, w.disk))
		a.done = !ok
	}
}

func (w *world) kill(a *actor) {
	w.kills--
	w.trace = append(w.trace, fmt.Sprintf("%d killed", a.id))
	a.stop()
	a.done, a.inside, a.blocked = true, false, false
}

// rob lets others in beside one whose lease ran out.
func (w *world) rob(a *actor) {
	w.robs--
	w.trace = append(w.trace, fmt.Sprintf("%d robbed", a.id))
	a.inside = false
}

// losePower ends all processes, and starts others.
func (w *world) losePower(id, processes, rounds int) int {
	w.losses--
	for _, a := range w.actors {
		a.stop()
	}
	w.disk.lose(w.choose(len(w.disk.states)))
	w.trace = append(w.trace, fmt.Sprintf("power lost, %v", w.disk))
	w.actors = nil
	for range processes {
		w.actors = append(w.actors, w.start(id, rounds))
		id++
	}
	return id
}

// exhaust plays all schedules of a plan, which makes a world anew, but no more than
// most; it returns what went wrong first.
func exhaust(most int, plan func(choose func(int) int) *world) (n int, wrong string) {
	var choices, widths []int
	for n < most {
		depth := 0
		w := plan(func(width int) int {
			if depth == len(choices) {
				choices, widths = append(choices, 0), append(widths, 0)
			}
			widths[depth] = width
			depth++
			return choices[depth-1]
		})
		n++
		if w.wrong != "" {
			return n, w.wrong + "\n" + strings.Join(w.trace, "\n")
		}
		choices, widths = choices[:depth], widths[:depth]
		for len(choices) > 0 && choices[len(choices)-1] == widths[len(choices)-1]-1 {
			choices, widths = choices[:len(choices)-1], widths[:len(choices)-1]
		}
		if len(choices) == 0 {
			return n, ""
		}
		choices[len(choices)-1]++
	}
	return n, ""
}

// seeded plays random schedules.
func seeded(n int, seed uint64, plan func(choose func(int) int) *world) (ran int, wrong string) {
	for i := range n {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		if w := plan(random.IntN); w.wrong != "" {
			return i + 1, fmt.Sprintf("%s\nseed %d, schedule %d\n%s", w.wrong, seed, i, strings.Join(w.trace, "\n"))
		}
	}
	return n, ""
}

// plans are what is simulated: who takes part and what happens to them.
var plans = map[string]func(b bend) func(choose func(int) int) *world{
	"leases": func(b bend) func(func(int) int) *world {
		return func(choose func(int) int) *world {
			w := &world{bend: b, alone: true, choose: choose, robs: 2, kills: 1}
			w.run(3, 2)
			return w
		}
	},
	"power": func(b bend) func(func(int) int) *world {
		return func(choose func(int) int) *world {
			w := &world{bend: b, alone: true, choose: choose, robs: 1, losses: 2}
			w.run(2, 2)
			return w
		}
	},
	"server": func(b bend) func(func(int) int) *world {
		return func(choose func(int) int) *world {
			w := &world{bend: b, choose: choose, robs: 1, kills: 1, losses: 1}
			w.run(3, 2)
			return w
		}
	},
	"readers": func(b bend) func(func(int) int) *world {
		return func(choose func(int) int) *world {
			w := &world{bend: b, alone: true, shared: true, choose: choose, kills: 1, losses: 1}
			w.run(3, 2)
			return w
		}
	},
}

// schedules is how many random ones of each plan are played.
const schedules = 2_000

func seedOf(t *testing.T) uint64 {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return seed
}

// TestSchedules: whoever is stopped, killed or robbed at whatever step, and whatever
// a loss of power takes, no token comes twice or after a higher one.
func TestSchedules(t *testing.T) {
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, wrong := seeded(schedules, seedOf(t), plan(bend{}))
			require.Empty(t, wrong, "schedule %d", n)
		})
	}
}

// TestAllSchedules: all schedules there are of two who take one token each, with one
// of each mishap.
func TestAllSchedules(t *testing.T) {
	for name, w := range map[string]world{
		"robbed":             {alone: true, made: true, robs: 1},
		"killed":             {alone: true, made: true, kills: 1},
		"power":              {alone: true, made: true, losses: 1},
		"server, robbed":     {made: true, robs: 1},
		"server, power lost": {made: true, losses: 1},
		"readers":            {alone: true, made: true, shared: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 300_000
			if slow {
				t.Skip("with the race detector they take minutes")
			}
			n, wrong := exhaust(most, func(choose func(int) int) *world {
				w := w
				w.choose = choose
				w.run(2, 1)
				return &w
			})
			t.Logf("%d schedules", n)
			require.Empty(t, wrong)
			require.Less(t, n, most, "these are not all")
		})
	}
}

// TestMutants: each way that is known to be wrong is noticed.
func TestMutants(t *testing.T) {
	for name, tt := range map[string]struct {
		bend
		plans []string
	}{
		"no last check":                      {bend{noLastCheck: true}, []string{"leases", "server"}},
		"read, modify, write":                {bend{faults: faults{blindWrites: true}}, []string{"leases", "server", "readers"}},
		"taken before entering":              {bend{before: true}, []string{"leases", "server"}},
		"written at release":                 {bend{atRelease: true}, []string{"leases", "server"}},
		"no sync":                            {bend{faults: faults{noSync: true}}, []string{"power", "server", "readers"}},
		"others told before the sync":        {bend{faults: faults{earlyMark: true}}, []string{"power", "readers"}},
		"no jump after the record is opened": {bend{trusting: true}, []string{"power", "readers"}},
	} {
		for _, plan := range tt.plans {
			t.Run(name+"/"+plan, func(t *testing.T) {
				t.Parallel()
				n, wrong := seeded(100*schedules, seedOf(t), plans[plan](tt.bend))
				require.NotEmpty(t, wrong, "not noticed in %d schedules", n)
				t.Logf("noticed in schedule %d: %s", n, strings.SplitN(wrong, "\n", 2)[0])
			})
		}
	}
}
