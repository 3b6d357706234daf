package scenario

import (
	"strconv"

	"github.com/filelock-go/filelock/bench/internal/report"
)

// Pictures says how the curves of the scenarios are drawn.
func Pictures() []report.Picture {
	return []report.Picture{
		{
			File: "throughput", Title: "Goroutines of one process", LogX: true, LogY: true,
			X: "goroutines", Y: "acquisitions per second",
		},
		{
			File: "handoff", Title: "Processes, nothing to do inside", LogX: true, LogY: true,
			X: "processes", Y: "µs per hand-off to another process",
		},
		{
			File: "waits", Title: "Waits of 16 processes", LogX: true, Steps: true,
			X: "µs", Y: "% of acquisitions that waited no longer",
		},
		{
			File: "shares", Title: "Who of 16 processes got how much", Bars: true, Labels: numbers(16),
			X: "process", Y: "% of all acquisitions",
		},
		{
			File: "held", Title: "How much of the time 16 processes hold the lock", LogX: true,
			X: "µs held each time", Y: "% of the time",
		},
		{
			File: "drain", Title: "Goroutines that drain", LogX: true, LogY: true,
			X: "waiting goroutines", Y: "µs per hand-off",
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
