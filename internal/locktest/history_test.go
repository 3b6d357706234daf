package locktest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/locktest"
)

func TestJudge(t *testing.T) {
	step := func(s locktest.Step, shared bool) func(who int) locktest.Event {
		return func(who int) locktest.Event { return locktest.Event{Step: s, Shared: shared, Who: who} }
	}
	reads, writes := step(locktest.Asked, true), step(locktest.Asked, false)
	final, in, out := step(locktest.Final, false), step(locktest.Entered, false), step(locktest.Left, false)
	gaveUp, killed := step(locktest.GaveUp, false), step(locktest.Killed, false)
	type history = []locktest.Event
	for name, tt := range map[string]struct {
		events history
		want   locktest.Verdict
	}{
		"readers together": {
			history{reads(1), reads(2), in(1), in(2), out(1), out(2)},
			locktest.Verdict{Readers: 2},
		},
		"one after the other": {
			history{writes(1), reads(2), in(1), out(1), in(2), out(2)},
			locktest.Verdict{Readers: 1, Writers: 1, LongestReader: 1},
		},
		"two writers": {
			history{writes(1), writes(2), in(1), in(2)},
			locktest.Verdict{Writers: 2, LongestWriter: 1, Wrong: []string{"2 came in (shared: false) while 1 was inside (shared: false)"}},
		},
		"a reader with a writer": {
			history{writes(1), reads(2), in(1), in(2)},
			locktest.Verdict{Readers: 1, Writers: 1, LongestReader: 1, Wrong: []string{"2 came in (shared: true) while 1 was inside (shared: false)"}},
		},
		"a writer with a reader": {
			history{writes(1), reads(2), in(2), in(1)},
			locktest.Verdict{Readers: 1, Writers: 1, LongestWriter: 1, Wrong: []string{"1 came in (shared: false) while 2 was inside (shared: true)"}},
		},
		"overtaken": {
			history{writes(1), final(1), reads(2), in(2), out(2), in(1)},
			locktest.Verdict{Readers: 1, Writers: 1, LongestWriter: 1, Wrong: []string{"2 asked (shared: true) when the place of 1 was final (shared: false), and came in before it"}},
		},
		"asked before that was final": {
			history{writes(1), reads(2), final(1), in(2), out(2), in(1)},
			locktest.Verdict{Readers: 1, Writers: 1, LongestWriter: 1},
		},
		"readers do not overtake each other": {
			history{reads(1), final(1), reads(2), in(2), in(1)},
			locktest.Verdict{Readers: 2},
		},
		"killed inside": {
			history{writes(11), writes(21), in(11), killed(1), in(21), out(21)},
			locktest.Verdict{Writers: 2, LongestWriter: 1},
		},
		"killed, and not at once": {
			history{writes(11), killed(1), in(11), final(11), reads(21), in(21), out(11), writes(11), final(11)},
			locktest.Verdict{Readers: 1},
		},
		"gave up": {
			history{writes(1), final(1), reads(2), in(2), gaveUp(1), reads(3), in(3)},
			locktest.Verdict{Readers: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, locktest.Judge(tt.events, func(who int) int { return who / 10 }))
		})
	}
}
