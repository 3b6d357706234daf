// Package benchmark measures how long taking a lock in a directory takes: free, and
// among goroutines and processes that contend for it.
package benchmark

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/filelock-go/filelock/cmd/filelock/internal/probe"
	"github.com/filelock-go/filelock/cmd/filelock/internal/referee"
	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
)

// Scenario is how a lock is used.
type Scenario struct {
	Name       string `json:"name"`
	Processes  int    `json:"processes"`
	Goroutines int    `json:"goroutines"` // of each process
	// Once: each use makes a ticket of its own, as in programs that use a lock once.
	Once bool `json:"once,omitempty"`
}

// Scenarios are what is measured.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "free, used again and again", Processes: 1, Goroutines: 1},
		{Name: "free, used once", Processes: 1, Goroutines: 1, Once: true},
		{Name: "2 goroutines of one process", Processes: 1, Goroutines: 2},
		{Name: "2 processes", Processes: 2, Goroutines: 1},
		{Name: "4 processes", Processes: 4, Goroutines: 1},
	}
}

// Result is what was measured of a scenario. Times are in seconds, of single uses: from
// the question to the answer, and for a free lock to its return.
type Result struct {
	Scenario
	Seconds   float64 `json:"seconds"`
	Uses      int     `json:"uses"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
	Max       float64 `json:"max"`
	// Least and Most are the uses of the process that had the fewest, and the most.
	Least int `json:"least"`
	Most  int `json:"most"`
}

// Report is what was measured, and where. Its JSON is stable: fields are added, not
// changed.
type Report struct {
	Dir     string   `json:"dir"`
	System  string   `json:"system"`
	CPUs    int      `json:"cpus"`
	Go      string   `json:"go"`
	Results []Result `json:"results"`
}

// Options are those of Run.
type Options struct {
	Dir      string
	For      time.Duration // each scenario
	Worker   []string
	Progress func(done float64, what string)
}

// Run measures all scenarios, one after the other. It leaves nothing in the directory, or
// else its error says so.
func Run(ctx context.Context, o Options) (r Report, err error) {
	r = Report{Dir: o.Dir, System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if _, err := os.Stat(o.Dir); err != nil {
		return r, err
	}
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return r, err
	}
	target := filepath.Join(o.Dir, probe.Prefix+hex.EncodeToString(id[:]))
	defer func() { err = errors.Join(err, clean(target)) }()
	all := Scenarios()
	for i, s := range all {
		o.Progress(float64(i)/float64(len(all)), s.Name)
		result, err := measure(ctx, o, target, s)
		if err != nil {
			return r, fmt.Errorf("%s: %w", s.Name, err)
		}
		r.Results = append(r.Results, result)
	}
	o.Progress(1, "done")
	return r, nil
}

// clean removes what was left of a target's queue, whose contenders are all gone.
func clean(target string) error {
	left, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return err
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), filepath.Base(target)+".") {
			if failed := os.Remove(filepath.Join(filepath.Dir(target), e.Name())); failed != nil && !os.IsNotExist(failed) {
				err = errors.Join(err, failed)
			}
		}
	}
	return err
}

// grace is how long a worker may take beyond its time.
const grace = 30 * time.Second

// measure has a scenario played.
func measure(ctx context.Context, o Options, target string, s Scenario) (r Result, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.For+grace, errors.New("it takes too long"))
	defer cancel()
	var all []*worker.Process
	kill := func() {
		for _, w := range all {
			_ = w.Kill()
		}
	}
	defer kill()
	lines := make([]*json.Decoder, 0, s.Processes)
	for range s.Processes {
		w, err := worker.Start(o.Worker, "use", using{Target: target, For: o.For, Goroutines: s.Goroutines, Once: s.Once})
		if err != nil {
			return r, err
		}
		all = append(all, w)
		lines = append(lines, json.NewDecoder(w.Out))
	}
	stop := context.AfterFunc(ctx, kill) // which ends what is read from them
	defer func() {
		if !stop() {
			err = errors.Join(context.Cause(ctx), err)
		}
	}()
	for i := range all {
		var ready bool
		if err := lines[i].Decode(&ready); err != nil {
			return r, errors.Join(err, all[i].Wait())
		}
	}
	for _, w := range all {
		if err := w.Tell("go"); err != nil {
			return r, errors.Join(err, w.Wait())
		}
	}
	used := make([]uses, len(all))
	for i, w := range all {
		if err := lines[i].Decode(&used[i]); err != nil {
			return r, errors.Join(err, w.Wait())
		}
	}
	return s.result(o.For, used), nil
}

func (s Scenario) result(lasted time.Duration, used []uses) Result {
	r := Result{Scenario: s, Seconds: lasted.Seconds(), Least: used[0].Count}
	var times []time.Duration
	for _, u := range used {
		r.Uses += u.Count
		r.Least, r.Most = min(r.Least, u.Count), max(r.Most, u.Count)
		times = append(times, u.Times...)
		r.Max = max(r.Max, u.Longest.Seconds())
	}
	r.PerSecond = float64(r.Uses) / r.Seconds
	r.P50, r.P99 = referee.Quantile(times, .5).Seconds(), referee.Quantile(times, .99).Seconds()
	return r
}
