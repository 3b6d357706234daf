package keyqueue

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var allMutants = flag.Bool("mutants", false, "compile and run the bent sources, too")

// mutant is a bent source and how it must be caught.
type mutant struct {
	name     string
	file     string
	old, new string // what stands exactly once in the file, and what is put there
	test     string // which test must fail
	failure  string // with what
}

var mutants = []mutant{
	{
		name: "whoever cannot be met is dead", file: "name.go",
		old:  "	return p.Meet(v.Process)\n",
		new:  "	if ended, part = p.Meet(v.Process); ended == nil {\n		c := make(chan struct{})\n		close(c)\n		ended = c\n	}\n	return ended, part\n",
		test: "TestSchedules/mortal", failure: "overlap",
	},
	{
		name: "a name on another machine is believed", file: "name.go",
		old: "case v.Machine != p.Machine:", new: "case false:",
		test: "TestSchedules/mortal", failure: "overlap",
	},
	{
		name: "a lease is used again after a doubtful request", file: "lease.go",
		old: "doubt := l.isDoubtful()", new: "doubt := false",
		test: "TestSchedules/harsh", failure: "orphan|overlap|order|stuck|unexpected",
	},
	{
		name: "delete by name", file: "queue.go",
		old: "If:   []Cond{{Key: key, Created: created}},", new: "If:   nil,",
		test: "TestTickets", failure: "evict",
	},
	{
		name: "a renewed lease counts from the answer", file: "../../../internal/lease/lease.go",
		old:  "		renewal := newTerm(lease, time.Now()) // which may take a while\n		err := beat(ctx)\n",
		new:  "		err := beat(ctx)\n		renewal := newTerm(lease, time.Now())\n",
		test: "TestSchedules/harsh", failure: "overlap",
	},
	{
		name: "a new lease counts from the answer", file: "lease.go",
		old:  "	if err != nil {\n		return nil, err\n	}\n	return l, nil\n}\n\n// put",
		new:  "	if err != nil {\n		return nil, err\n	}\n	l.renewed = time.Now()\n	return l, nil\n}\n\n// put",
		test: "TestSchedules/harsh", failure: "overlap",
	},
	{
		name: "no look after the watch is set", file: "wait.go",
		old:  "	nearest, err := t.stillThere(ctx)\n	if err != nil || nearest == nil {\n		return true, err\n	}\n	known.turnTo(t.queue.process, *nearest)\n",
		new:  "",
		test: "TestSchedules/calm", failure: "late",
	},
	{
		name: "no look after an error of the watch", file: "wait.go",
		old: "		return false, t.look(ctx)\n", new: "		return false, nil\n",
		test: "TestSchedules/deaf", failure: "stuck|late",
	},
	{
		name: "two tickets on one lease", file: "lease.go",
		old: "	ls.idle[length] = idle[:len(idle)-1]\n", new: "",
		test: "TestSchedules/calm", failure: "overlap|order|orphan|unexpected",
	},
	{
		name: "what was asked for counts, not what was granted", file: "lease.go",
		old:  "		l.id, l.length, err = ls.store.Grant(ctx, int64(length/time.Second))\n",
		new:  "		l.id, _, err = ls.store.Grant(ctx, int64(length/time.Second))\n		l.length = length\n",
		test: "TestSchedules/harsh", failure: "overlap",
	},
	{
		name: "names are not escaped", file: "name.go",
		old: `return root + "/" + escape(name) + "/"`, new: `return root + "/" + name + "/"`,
		test: "TestTickets", failure: "names",
	},
	{
		name: "Leave ignores that nothing was there", file: "ticket.go",
		old: "	case !deleted && !t.asked:\n", new: "	case !deleted && !t.asked && false:\n",
		test: "TestTickets", failure: "evict",
	},
	{
		name: "the place is resumed after it was gone", file: "wait.go",
		old: "		return a, engine.ErrGone\n", new: "		return a, nil\n",
		test: "TestTickets", failure: "evict",
	},
	{
		name: "the own name is not looked for after a doubtful request", file: "ticket.go",
		old: "len(own) > 0 {", new: "len(own) > 0 && false {",
		test: "TestSchedules/harsh", failure: "orphan|overlap|order|stuck|unexpected",
	},
	{
		name: "nobody looks while nothing is heard", file: "wait.go",
		old: "	case <-timer.C:\n		told = true\n", new: "",
		test: "TestSchedules/deaf", failure: "late",
	},
	{
		name: "cleaning up depends on the caller's context", file: "lease.go",
		old:  "	go func() {\n		defer ls.end()\n		ctx, cancel := context.WithTimeout(context.Background(), limit)\n		defer cancel()\n		_ = ls.revoke(ctx, l) // or it ends by itself\n	}()\n",
		new:  "	ls.end()\n",
		test: "TestCancelLeavesNothing", failure: "left after a cancel",
	},
	{
		name: "a reader does not wait for writers", file: "queue.go",
		old: "		return q.prefix + exclusiveKind\n", new: "		return q.prefix + sharedKind + \"none\"\n",
		test: "TestTickets", failure: "shared",
	},
	{
		name: "a swap does not look at the old place", file: "ticket.go",
		old: "	there := []Cond{{Key: was.key(), Created: was.created()}}\n", new: "	there := []Cond{}\n",
		test: "TestTickets", failure: "swap",
	},
}

// TestMutants bends the sources, one rule at a time, and wants the tests to notice.
// Each bent package is compiled anew, so it runs only with -mutants.
func TestMutants(t *testing.T) {
	if !*allMutants {
		t.Skip("without -mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, m.run)
	}
}

// TestMutantsApply: the list follows the sources, compiled or not.
func TestMutantsApply(t *testing.T) {
	for _, m := range mutants {
		m.bend(t)
	}
}

func (m *mutant) bend(t *testing.T) string {
	source, err := os.ReadFile(m.file)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(source), m.old), "%s: in %s, how often is there\n%s", m.name, m.file, m.old)
	return strings.Replace(string(source), m.old, m.new, 1)
}

func (m *mutant) run(t *testing.T) {
	dir := t.TempDir()
	source, err := filepath.Abs(m.file)
	require.NoError(t, err)
	bent := filepath.Join(dir, filepath.Base(m.file))
	require.NoError(t, os.WriteFile(bent, []byte(m.bend(t)), 0o666))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: bent}})
	require.NoError(t, err)
	overlayFile := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, overlay, 0o666))
	binary := filepath.Join(dir, "bent.test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlayFile, "-o", binary, "-ldflags=-s -w", ".").CombinedOutput()
	require.NoError(t, err, "it does not compile:\n%s", out)
	out, err = exec.CommandContext(t.Context(), binary, "-test.run", m.test, "-sim.schedules=1500", "-test.timeout=100s").CombinedOutput()
	require.Error(t, err, "it was not caught:\n%s", out)
	require.Regexp(t, regexp.MustCompile(m.failure), string(out))
	require.NotContains(t, string(out), "panic: test timed out")
	t.Log(regexp.MustCompile(`(?m)^.*(` + m.failure + `).*$`).FindString(string(out)))
}
