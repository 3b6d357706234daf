package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var allMutants = flag.Bool("mutants", false, "compile and run the bent sources, too")

// enough is how many schedules a mutant may survive in one mode.
const enough = 200_000

// mutant is a bent source and how it must be caught.
type mutant struct {
	name  string
	file  string // in internal/queue
	edits []edit
	mode  Mode
	kind  Kind
}

// edit replaces what stands exactly once in the file.
type edit struct{ old, new string }

// TestMutants bends the sources of package queue, one rule at a time, and
// wants the simulator to notice. Each bent package is compiled anew, which
// takes seconds, so it runs only with -mutants.
func TestMutants(t *testing.T) {
	if !*allMutants {
		t.Skip("without -mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.run(t)
		})
	}
}

// The list follows the sources: every edit finds its place, compiled or not.
func TestMutantsApply(t *testing.T) {
	for _, m := range mutants {
		m.bend(t)
	}
}

var caught = regexp.MustCompile(`Error:\s+([a-z ]+): (.*)\n(?s:.*)schedule (\d+) of`)

func (m *mutant) run(t *testing.T) {
	// The overlay is read from here, and the source is never touched.
	dir := t.TempDir()
	source, err := filepath.Abs(filepath.Join("..", "queue", m.file))
	require.NoError(t, err)
	bent := filepath.Join(dir, m.file)
	require.NoError(t, os.WriteFile(bent, []byte(m.bend(t)), 0o666))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: bent}})
	require.NoError(t, err)
	overlayFile := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, overlay, 0o666))

	binary := filepath.Join(dir, "sim.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlayFile, "-o", binary, "-ldflags=-s -w", ".")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "the mutant does not compile:\n%s", out)

	began := time.Now()
	inner := exec.CommandContext(t.Context(), binary, "-test.v", "-test.run", fmt.Sprintf("^TestSchedules$/^%s$", m.mode),
		"-sim.only="+string(m.kind), fmt.Sprintf("-sim.schedules=%d", enough), fmt.Sprintf("-sim.seed=%d", *firstSeed))
	out, err = inner.CombinedOutput()
	require.Error(t, err, "the mutant was not caught:\n%s", out)
	found := caught.FindStringSubmatch(string(out))
	require.NotNil(t, found, "the mutant was not caught by a check:\n%s", out)
	assert.Equal(t, m.kind, Kind(found[1]), "%s", out)
	t.Logf("%s: schedule %s, %v (%v)", found[1], found[3], found[2], time.Since(began).Round(time.Millisecond))
}

// bend returns the bent source.
func (m *mutant) bend(t *testing.T) string {
	source, err := os.ReadFile(filepath.Join("..", "queue", m.file))
	require.NoError(t, err)
	text := string(source)
	for _, e := range m.edits {
		require.Equal(t, 1, strings.Count(text, e.old), "mutant %q: in %s, how often is there\n%s", m.name, m.file, e.old)
		text = strings.Replace(text, e.old, e.new, 1)
	}
	return text
}

// How bends of the simulated directory must be caught. They need no compiler.
var bends = map[Bend]Kind{
	BendListFirst:     Overlap,
	BendTornListing:   Overlap,
	BendBlindToMoves:  Deadlock,
	BendBlindToDeath:  Deadlock,
	BendNumberFirst:   TryCount,
	BendSkipsLive:     Overlap,
	BendSkipsHeir:     Overlap,
	BendRaisesFirst:   Deadlock,
	BendNoEntry:       Overlap,
	BendNoLook:        Overlap,
	BendLooksFirst:    Overlap,
	BendTestsEntry:    Overlap,
	BendRobsHolders:   Overlap,
	BendRobsWaiters:   Unexpected,
	BendRaisesHolding: Overlap,
	BendServerLocal:   Overlap,
	BendLateKind:      Overlap,
	BendOtherKind:     Overlap,
	BendCoarseView:    Deadlock, // and, a thousand times rarer, an overlap
}

// TestBends breaks the rules that are not in package queue's hands.
func TestBends(t *testing.T) {
	require.Len(t, bends, len(Bends))
	seed := startSeed()
	t.Logf("from seed %d", seed)
	for _, b := range Bends {
		t.Run(string(b), func(t *testing.T) {
			mode := Queue
			switch b {
			case BendServerLocal:
				mode = Cached
			case BendNumberFirst:
				mode = Tries
			}
			for i := range uint64(enough) {
				r := Run(Schedule{Mode: mode, Seed: seed + i, Bend: b, Only: bends[b]})
				if r.Failure != nil {
					t.Logf("%v: schedule %d", r.Failure, i+1)
					return
				}
			}
			assert.Fail(t, "not caught")
		})
	}
}

// What lets two in is a holder's number that rises. That it may fall is what
// rule R12 rests on: whoever came before decided by the number from before, and
// whoever comes now sees the holder below itself either way.
func TestLowersHolding(t *testing.T) {
	n, seed := 5_000, startSeed()
	if raceDetector {
		n /= 25
	}
	for i := range uint64(n) {
		r := Run(Schedule{Mode: Queue, Seed: seed + i, Bend: BendLowersHolding})
		require.Nil(t, r.Failure, "seed %d", seed+i)
	}
}
