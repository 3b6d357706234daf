package fence

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
