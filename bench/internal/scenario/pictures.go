package scenario

import (
	"strconv"

	"github.com/filelock-go/filelock/bench/internal/report"
)

const (
	lower  = "lower is better"
	higher = "higher is better"
)

// Pictures says how the curves of the scenarios are drawn.
func Pictures() []report.Picture {
	return []report.Picture{
		{
			File: "resting", Title: "A free lock that is used now and then", Better: lower, LogX: true, LogY: true,
			X: "µs between two uses", Y: "µs to acquire and unlock",
			Lines: []string{report.Ours, "filelock-nolinger", "gofrs", "floor-rest"},
		},
		{
			File: "throughput", Title: "Goroutines of one process", Better: higher, LogX: true, LogY: true,
			X: "goroutines", Y: "acquisitions per second",
			Lines: []string{report.Ours, "gofrs", "mutex-gofrs", "filemutex", "juju", "floor-channels"},
		},
		{
			File: "handoff", Title: "Hand-offs between processes, nothing to do inside", Better: lower, LogX: true, LogY: true,
			X: "processes", Y: "µs per hand-off to another process",
			Lines: []string{report.Ours, "gofrs", "gofrs-try10", "filemutex", "floor-queue", "ring"},
		},
		{
			File: "waits", Title: "Waits of 16 processes", Better: higher, LogX: true, Steps: true,
			X: "µs of waiting", Y: "% of acquisitions that waited no longer",
			Lines: []string{report.Ours, "gofrs", "gofrs-try10", "filemutex", "juju", "lockedfile"},
		},
		{
			File: "shares", Title: "Who of 16 processes got how much", Better: "all alike is fair", Bars: true, Labels: numbers(16),
			X: "process", Y: "% of all acquisitions",
			Lines: []string{report.Ours, "gofrs", "gofrs-try10"},
			Mark:  100. / 16, MarkName: "fair: a sixteenth each",
		},
		{
			File: "held", Title: "How much of the time 16 processes hold the lock", Better: higher, LogX: true,
			X: "µs held each time", Y: "% of the time",
			Lines: []string{report.Ours, "gofrs", "gofrs-try10", "filemutex", "juju"},
			Mark:  100, MarkName: "the best possible: always",
		},
		{
			File: "drain", Title: "Goroutines that drain", Better: lower, LogX: true, LogY: true,
			X: "waiting goroutines", Y: "µs per hand-off",
			Lines: []string{report.Ours, "gofrs", "mutex-gofrs", "gofrs-try10", "filemutex", "juju"},
		},
	}
}

func numbers(n int) []string {
	var s []string
	for i := range n {
		s = append(s, strconv.Itoa(i+1))
	}
	return s
}
