package report

import (
	"fmt"
	"math"
	"strings"
)

// Goal is one line of what must be shown.
type Goal struct {
	Item             int
	Target, Measured string
	Met              string // "yes", "no", or "not measured"
}

// goals compares the figures with the targets. The scenarios' and metrics'
// names are those that the scenarios use.
func (r *Run) goals() []Goal {
	var gs []Goal
	for _, of := range [][]Goal{
		r.freeGoals(), r.goroutineGoals(), r.handoffGoals(), r.holdGoals(),
		r.cpuGoals(), r.killGoals(), r.drainGoals(), r.directoryGoals(),
	} {
		gs = append(gs, of...)
	}
	return gs
}

// limit is one comparison: x must be at most, or at least, limit.
type limit struct {
	x, limit float64
	least    bool
}

func atMost(x, l float64) limit  { return limit{x: x, limit: l} }
func atLeast(x, l float64) limit { return limit{x: x, limit: l, least: true} }

// goal is met if all the limits are kept.
func goal(item int, target, measured string, limits ...limit) Goal {
	g := Goal{Item: item, Target: target, Measured: measured, Met: "yes"}
	for _, l := range limits {
		if math.IsNaN(l.x) {
			g.Met = "not measured"
			return g
		}
		if l.least && l.x < l.limit || !l.least && l.x > l.limit {
			g.Met = "**no**"
		}
	}
	return g
}

func (r *Run) freeGoals() []Goal {
	const metric, first = "Acquire + Unlock", "filelock-nolinger"
	var gs []Goal
	for _, fs := range Filesystems {
		took := func(key string) string { return Format(r.Median("free", fs, metric, key), Nanoseconds) }
		gofrs := r.Ratio("free", fs, metric, Ours, "gofrs")
		rest := r.Ratio("free", fs, metric, Ours, "floor-rest")
		file := r.Ratio("free", fs, metric, first, "floor-file")
		gs = append(gs,
			goal(1, "free, "+fs+", a later passage: ≤ 0.8 × gofrs/flock", fmt.Sprintf("%s (%s)", times(gofrs), took(Ours)), atMost(gofrs, 0.8)),
			goal(1, "free, "+fs+", a later passage: ≤ 2 × its own system calls", times(rest), atMost(rest, 2)),
			goal(1, "free, "+fs+", a first passage: ≤ 1.3 × its own system calls", fmt.Sprintf("%s (%s)", times(file), took(first)), atMost(file, 1.3)))
	}
	return gs
}

// Filesystems are the names of those that are measured, as cases.
var Filesystems = []string{"disk", "tmpfs"}

func (r *Run) goroutineGoals() []Goal {
	var gs []Goal
	for _, fs := range Filesystems {
		kase := fs + ", 64 goroutines"
		faster := r.Ratio("goroutines", kase, "acquisitions", Ours, "mutex-gofrs")
		longest := r.Median("goroutines", kase, "longest ÷ median wait", Ours)
		gs = append(gs,
			goal(2, kase+": ≥ 10 × the acquisitions of sync.Mutex + gofrs/flock", times(faster), atLeast(faster, 10)),
			goal(2, kase+": longest wait ≤ 10 × the median", times(longest), atMost(longest, 10)))
	}
	return gs
}

func (r *Run) handoffGoals() []Goal {
	var gs []Goal
	for _, n := range []int{2, 4, 16} {
		kase := fmt.Sprintf("disk, %d processes", n)
		ring := r.Ratio("processes", kase, "time per hand-off", Ours, "ring")
		bare := r.Ratio("processes", kase, "time per hand-off", Ours, "floor-queue")
		spread := r.Worst("processes", kase, "worst-off process", Ours)
		gs = append(gs,
			goal(3, fmt.Sprintf("%d processes: ≤ 2.5 × the pipe ring's time per turn", n),
				fmt.Sprintf("%s (%s; %s the same queue in bare calls)", times(ring),
					Format(r.Median("processes", kase, "time per hand-off", Ours), Nanoseconds), times(bare)),
				atMost(ring, 2.5)),
			goal(3, fmt.Sprintf("%d processes: each within 10 %% of the mean", n),
				Format(spread, Part)+" (worst round)", atMost(spread, 0.1)))
	}
	var limits []limit
	var found []string
	for _, kase := range []string{"processes 4 ms apart", "processes 20 ms apart", "goroutines 4 ms apart"} {
		x := r.Worst("order", kase, "inversions", Ours)
		limits = append(limits, atMost(x, 0))
		found = append(found, Format(x, Count))
	}
	return append(gs, goal(3, "0 inversions", strings.Join(found, ", ")+" (worst rounds)", limits...))
}

func (r *Run) holdGoals() []Goal {
	const kase, metric = "disk, 16 processes, 1 ms", "held"
	held := r.Median("hold", kase, metric, Ours)
	return []Goal{goal(4, "16 processes hold 1 ms: held ≥ 93 % of the time",
		fmt.Sprintf("%s (TryLockContext 10 ms: %s, 100 ms: %s)", Format(held, Part),
			Format(r.Median("hold", kase, metric, "gofrs-try10"), Part),
			Format(r.Median("hold", kase, metric, "gofrs-try100"), Part)),
		atLeast(held, 0.93))}
}

func (r *Run) cpuGoals() []Goal {
	const metric = "CPU in 5 s"
	var gs []Goal
	for _, kase := range []string{"64 processes", "64 goroutines"} {
		x := r.Median("cpu", kase, metric, Ours)
		gs = append(gs, goal(5, kase+" wait for 5 s: < 10 ms of CPU",
			fmt.Sprintf("%s (doing nothing at all: %s; polling every 1 / 10 / 100 ms: %s / %s / %s)", Format(x, Nanoseconds),
				Format(r.Median("cpu", kase, metric, "floor-idle"), Nanoseconds),
				Format(r.Median("cpu", kase, metric, "gofrs-try1"), Nanoseconds),
				Format(r.Median("cpu", kase, metric, "gofrs-try10"), Nanoseconds),
				Format(r.Median("cpu", kase, metric, "gofrs-try100"), Nanoseconds)),
			atMost(x, 10e6)))
	}
	return gs
}

func (r *Run) killGoals() []Goal {
	const metric = "kill to next holder"
	median, worst := r.Median("kill", "disk", metric, Ours), r.Worst("kill", "disk", metric, Ours)
	return []Goal{
		goal(6, "kill -9 to next holder: median < 5 ms", Format(median, Nanoseconds), atMost(median, 5e6)),
		goal(6, "worst < 50 ms", Format(worst, Nanoseconds), atMost(worst, 50e6)),
	}
}

func (r *Run) drainGoals() []Goal {
	grows := func(many, few string) float64 {
		return r.Across("drain", many, few, "time per hand-off", Ours)
	}
	goroutines := grows("1000 goroutines", "10 goroutines")
	processes := grows("200 processes", "10 processes")
	wakes := r.Median("drain", "200 processes", "wake-ups per hand-off", Ours)
	return []Goal{
		goal(7, "time per hand-off, 1,000 goroutines: ≤ 3 × that of 10", times(goroutines), atMost(goroutines, 3)),
		goal(7, "time per hand-off, 200 processes: ≤ 3 × that of 10", times(processes), atMost(processes, 3)),
		goal(7, "wake-ups per hand-off, 200 processes: ≤ 2", Format(wakes, Count), atMost(wakes, 2)),
	}
}

func (r *Run) directoryGoals() []Goal {
	const metric = "Acquire + Unlock"
	var gs []Goal
	for _, fs := range Filesystems {
		empty, full := fs+", no other files", fs+", 100,000 files"
		queueDir := r.Across("directories", full, empty, metric, "filelock-queuedir")
		beside := r.Ratio("directories", full, metric, "filelock-nolinger", "floor-getdents")
		gs = append(gs,
			goal(8, fs+", 100,000 files, WithQueueDir: ≤ 1.2 × the empty directory", times(queueDir), atMost(queueDir, 1.2)),
			goal(8, fs+", 100,000 files beside the target, a first passage: ≤ 1.3 × bare getdents", times(beside), atMost(beside, 1.3)))
	}
	return gs
}
