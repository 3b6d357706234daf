// Package report keeps what was measured and writes it: JSON, Markdown, SVG.
package report

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/filelock-go/filelock/bench/internal/stats"
)

// Ours is the key of the lock that the others are compared with.
const Ours = "filelock"

// Better says which direction of a metric is the good one.
type Better string

const (
	Less    Better = "less"
	More    Better = "more"
	Neither Better = "" // for information
)

// Unit says how a value is printed.
type Unit string

const (
	Nanoseconds Unit = "ns"
	PerSecond   Unit = "1/s"
	Part        Unit = "part" // of 1; printed in per cent
	Index       Unit = "index"
	Count       Unit = "count"
	Bytes       Unit = "bytes"
)

// Metric is something that is measured.
type Metric struct {
	Name   string
	Unit   Unit
	Better Better
}

// Contestant is a column of the tables.
type Contestant struct {
	Key, Name, Short string
	Floor, Unsafe    bool
}

// Value is one contestant's figure under one condition, round by round.
type Value struct {
	Scenario, Case string
	Metric         Metric
	Contestant     string
	Rounds         []float64
	Median         float64
	// AgainstOurs is the median of our figure divided by this one, round by
	// round; 0 where that means nothing.
	AgainstOurs float64 `json:",omitempty"`
}

// rival: a lock to compare with, no variant of ours and no floor.
func (c Contestant) rival() bool { return c.competes() && !strings.HasPrefix(c.Key, Ours) }

// competes: neither is it a floor, nor does it let two in.
func (c Contestant) competes() bool { return !c.Floor && !c.Unsafe }

// Section is what is said about one scenario.
type Section struct {
	Scenario, Title, Note string
	// Beside are the keys of who has a column in the table beside ours and the
	// strongest rival: with two, and the two columns that name the row, a table
	// is no wider than six.
	Beside   [2]string
	Compared []Comparison
}

// Curve is one contestant's line of a plot, or its group of bars.
type Curve struct {
	Plot, Contestant string
	X, Y             []float64
}

// Run is everything that one run measured.
type Run struct {
	Machine     Machine
	Filesystems []Filesystem
	Took        string
	Quick       bool `json:",omitempty"`
	Contestants []Contestant
	Sections    []Section
	Values      []*Value
	Goals       []Goal
	Curves      []Curve `json:"-"`

	began time.Time
}

// New begins a run.
func New(quick bool) *Run { return &Run{Machine: thisMachine(), Quick: quick, began: time.Now()} }

// Add adds one round's figure. NaN is left out.
func (r *Run) Add(scenario, kase string, m Metric, contestant string, x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	v := r.Find(scenario, kase, m.Name, contestant)
	if v == nil {
		v = &Value{Scenario: scenario, Case: kase, Metric: m, Contestant: contestant}
		r.Values = append(r.Values, v)
	}
	v.Rounds = append(v.Rounds, x)
}

// Find returns a value, or nil.
func (r *Run) Find(scenario, kase, metric, contestant string) *Value {
	i := slices.IndexFunc(r.Values, func(v *Value) bool {
		return v.Scenario == scenario && v.Case == kase && v.Metric.Name == metric && v.Contestant == contestant
	})
	if i < 0 {
		return nil
	}
	return r.Values[i]
}

// Median returns the median of a value's rounds, NaN if it was not measured.
func (r *Run) Median(scenario, kase, metric, contestant string) float64 {
	v := r.Find(scenario, kase, metric, contestant)
	if v == nil {
		return math.NaN()
	}
	return stats.Median(v.Rounds)
}

// Worst returns the highest of a value's rounds, NaN if it was not measured.
func (r *Run) Worst(scenario, kase, metric, contestant string) float64 {
	v := r.Find(scenario, kase, metric, contestant)
	if v == nil {
		return math.NaN()
	}
	return slices.Max(v.Rounds)
}

// Ratio returns the median of one contestant's figure divided by another's,
// round by round; NaN if either was not measured.
func (r *Run) Ratio(scenario, kase, metric, over, under string) float64 {
	a, b := r.Find(scenario, kase, metric, over), r.Find(scenario, kase, metric, under)
	if a == nil || b == nil {
		return math.NaN()
	}
	return stats.Median(stats.Ratios(a.Rounds, b.Rounds))
}

// Across returns the median of a contestant's figure under one condition
// divided by that under another, round by round; NaN if either was not measured.
func (r *Run) Across(scenario, over, under, metric, contestant string) float64 {
	a, b := r.Find(scenario, over, metric, contestant), r.Find(scenario, under, metric, contestant)
	if a == nil || b == nil {
		return math.NaN()
	}
	return stats.Median(stats.Ratios(a.Rounds, b.Rounds))
}

// Name introduces contestants; those known already stay as they are.
func (r *Run) Name(cs ...Contestant) {
	for _, c := range cs {
		if !slices.ContainsFunc(r.Contestants, func(o Contestant) bool { return o.Key == c.Key }) {
			r.Contestants = append(r.Contestants, c)
		}
	}
}

// contestant returns the one that has a key.
func (r *Run) contestant(key string) Contestant {
	i := slices.IndexFunc(r.Contestants, func(c Contestant) bool { return c.Key == key })
	if i < 0 {
		return Contestant{Key: key, Name: key, Short: key}
	}
	return r.Contestants[i]
}

// Describe adds what is said about a scenario.
func (r *Run) Describe(s Section) { r.Sections = append(r.Sections, s) }

// Plot adds a curve.
func (r *Run) Plot(c Curve) { r.Curves = append(r.Curves, c) }

// Finish computes what follows from the figures.
func (r *Run) Finish() {
	for _, v := range r.Values {
		v.Median = stats.Median(v.Rounds)
		v.AgainstOurs = 0
		if ours := r.Find(v.Scenario, v.Case, v.Metric.Name, Ours); ours != nil && v.Contestant != Ours {
			if x := stats.Median(stats.Ratios(ours.Rounds, v.Rounds)); !math.IsNaN(x) {
				v.AgainstOurs = x
			}
		}
	}
	r.Goals = r.goals()
	r.Took = time.Since(r.began).Round(time.Second).String()
}
