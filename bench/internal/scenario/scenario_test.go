package scenario

import (
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

func TestMain(m *testing.M) {
	worker.Main()
	os.Exit(m.Run())
}

func TestQuickRunOfSome(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	out := t.TempDir()
	run, err := Run(Config{
		Disk: t.TempDir(), Only: regexp.MustCompile("^(free|processes|readers|kill)$"), Quick: true, Progress: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct{ scenario, kase, metric, contestant string }{
		{"free", "disk", "Acquire + Unlock", report.Ours},
		{"free", "disk", "Acquire + Unlock", "floor-file"},
		{"processes", "disk, 16 processes", "time per hand-off", "ring"},
		{"processes", "disk, 16 processes", "time per hand-off", "floor-queue"},
		{"readers", "disk, 8 readers", "all reads", "gofrs"},
		{"readers", "disk, 8 readers and a writer", "the writer's longest wait", report.Ours},
		{"kill", "disk", "kill to next holder", "gofrs"},
	} {
		if v := run.Find(at.scenario, at.kase, at.metric, at.contestant); v == nil || v.Median <= 0 {
			t.Errorf("%v: %+v", at, v)
		}
	}
	for _, kase := range []string{"disk, 2 processes", "disk, 4 processes", "disk, 16 processes"} {
		if v := run.Find("processes", kase, "overlaps", "floor-queue"); v == nil || v.Median != 0 {
			t.Errorf("%s, overlaps of the queue in bare calls: %+v", kase, v)
		}
	}
	plots, err := run.Plots(out, Pictures())
	if err != nil || len(plots) == 0 {
		t.Errorf("plots %v, %v", plots, err)
	}
	var md, js strings.Builder
	if err := run.Markdown(&md, plots); err != nil || !strings.Contains(md.String(), "## The free lock") {
		t.Errorf("no table of the free lock (%v)", err)
	}
	if err := run.JSON(&js); err != nil || !json.Valid([]byte(js.String())) {
		t.Errorf("no JSON (%v)", err)
	}
}

func TestTextsNameContestants(t *testing.T) {
	known := func(key string) bool { return shorts[key] != "" || key == "" || key == "floor-true" }
	for _, s := range All() {
		if len(s.Compared) == 0 {
			t.Errorf("%s: nothing is said of it in words", s.Name)
		}
		for _, c := range s.Compared {
			if !known(c.Key) {
				t.Errorf("%s: no contestant %q", s.Name, c.Key)
			}
		}
		for _, key := range s.Beside {
			if !known(key) {
				t.Errorf("%s: no contestant %q", s.Name, key)
			}
		}
	}
	for _, p := range Pictures() {
		if n := len(p.Lines); n == 0 || n > report.MaxLines {
			t.Errorf("%s: %d lines", p.File, n)
		}
		for _, key := range p.Lines {
			if key == "" || !known(key) {
				t.Errorf("%s: no contestant %q", p.File, key)
			}
		}
	}
}
