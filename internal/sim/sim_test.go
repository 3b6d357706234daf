package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var (
	schedules = flag.Int("sim.schedules", 0, "how many schedules to run in each mode; 0: a few seconds' worth")
	firstSeed = flag.Uint64("sim.seed", 0, "the seed of the first schedule; 0: another one each time")
	only      = flag.String("sim.only", "", "the one kind of failure that counts")
	bend      = flag.String("sim.bend", "", "which rule of the simulated directory to break")
)

// byDefault is how many schedules run in each mode.
var byDefault = map[Mode]int{Queue: 100_000, Tries: 25_000, Cached: 30_000, Plain: 50_000}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSchedules runs the real algorithm through random schedules.
func TestSchedules(t *testing.T) {
	for _, mode := range Modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			runSchedules(t, mode)
		})
	}
}

func runSchedules(t *testing.T, mode Mode) {
	n, seed := *schedules, startSeed()
	if n == 0 {
		if n = byDefault[mode]; raceDetector {
			n /= 25
		}
	}
	t.Logf("%s: from seed %d, %d schedules", mode, seed, n)
	steps, holds, began := 0, 0, time.Now()
	for i := range n {
		r := Run(Schedule{Mode: mode, Seed: seed + uint64(i), Bend: Bend(*bend), Only: Kind(*only), Trace: n == 1})
		steps, holds = steps+r.Steps, holds+r.Holds
		for _, line := range r.Trace {
			t.Log(line)
		}
		if r.Failure != nil {
			require.FailNow(t, r.Failure.Error(), "schedule %d of %d\nreplay: %s", i+1, n, replay(mode, seed+uint64(i)))
		}
	}
	took := time.Since(began)
	t.Logf("%s: %d schedules, %d steps, %d holds in %v: %.0f schedules/s",
		mode, n, steps, holds, took.Round(time.Millisecond), float64(n)/took.Seconds())
}

func startSeed() uint64 {
	if *firstSeed != 0 {
		return *firstSeed
	}
	return uint64(rand.Uint32()) + 1
}

func replay(mode Mode, seed uint64) string {
	line := fmt.Sprintf("go test ./internal/sim -v -run '^TestSchedules$/^%s$' -sim.seed=%d -sim.schedules=1", mode, seed)
	if *bend != "" {
		line += " -sim.bend=" + *bend
	}
	if *only != "" {
		line += fmt.Sprintf(" -sim.only=%q", *only)
	}
	return line
}

// A seed says all about a schedule: twice the same, step by step.
func TestReplay(t *testing.T) {
	for _, mode := range Modes {
		for seed := range uint64(50) {
			s := Schedule{Mode: mode, Seed: seed, Trace: true}
			first := Run(s)
			assert.NotEmpty(t, first.Trace)
			assert.Equal(t, first, Run(s), "%s %d", mode, seed)
		}
	}
}
