package scenario

import (
	"fmt"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/stats"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

// Metrics of contention.
var (
	acquisitions = report.Metric{Name: "acquisitions", Unit: report.PerSecond, Better: report.More}
	handoffTime  = report.Metric{Name: "time per hand-off", Unit: report.Nanoseconds, Better: report.Less}
	medianWait   = report.Metric{Name: "median wait", Unit: report.Nanoseconds}
	lateWait     = report.Metric{Name: "99 % wait", Unit: report.Nanoseconds, Better: report.Less}
	longestWait  = report.Metric{Name: "longest wait", Unit: report.Nanoseconds, Better: report.Less}
	longestRatio = report.Metric{Name: "longest ÷ median wait", Unit: report.Count, Better: report.Less}
	jain         = report.Metric{Name: "Jain's index", Unit: report.Index, Better: report.More}
	worstOff     = report.Metric{Name: "worst-off process", Unit: report.Part, Better: report.Less}
	heldPart     = report.Metric{Name: "held", Unit: report.Part, Better: report.More}
	overlaps     = report.Metric{Name: "overlaps", Unit: report.Count}
)

// headStart is from sending the commands until all begin.
func headStart(processes int) time.Duration {
	return 2*time.Millisecond + time.Duration(processes)*500*time.Microsecond
}

// outcome is what a fleet did in one slice.
type outcome struct {
	acquired []float64 // by each goroutine, one process after the other
	waits    stats.Histogram
	longest  float64
	held     float64 // nanoseconds
	handoffs float64
	overlaps float64
	lasted   time.Duration
}

// contend has all of a fleet's workers contend for a while.
func contend(f *worker.Fleet, ws []*worker.Worker, l worker.Loop, lasts time.Duration) (outcome, error) {
	f.Reset()
	begin := time.Now().Add(headStart(len(ws)))
	l.Start, l.End = begin.UnixNano(), begin.Add(lasts).UnixNano()
	var jobs []*worker.Job
	for i, w := range ws {
		l.ID = i * l.Goroutines
		j, err := w.Loop(l)
		if err != nil {
			return outcome{}, err
		}
		jobs = append(jobs, j)
	}
	o := outcome{lasted: lasts}
	for _, j := range jobs {
		var r worker.LoopResult
		if err := j.Report(&r); err != nil {
			return outcome{}, fmt.Errorf("%s: %w", l.Rival, err)
		}
		o.acquired = append(o.acquired, r.Acquired...)
		o.waits.Merge(r.Waits)
		o.longest = max(o.longest, float64(r.Longest))
		o.held += float64(r.Held)
	}
	o.handoffs, o.overlaps = float64(f.Handoffs.Load()), float64(f.Overlaps.Load())
	return o, nil
}

// addOutcome notes the figures that every kind of contention has.
func (b *Bench) addOutcome(kase string, r rival.Rival, o outcome) {
	all := sum(o.acquired)
	b.add(kase, acquisitions, r.Key, all/o.lasted.Seconds())
	if all > 0 {
		b.add(kase, medianWait, r.Key, o.waits.Quantile(0.5))
		b.add(kase, lateWait, r.Key, o.waits.Quantile(0.99))
	}
	b.add(kase, longestWait, r.Key, o.longest)
	b.add(kase, jain, r.Key, stats.Jain(o.acquired))
	if r.Unsafe || r.Floor || o.overlaps > 0 {
		b.add(kase, overlaps, r.Key, o.overlaps)
	}
}

func sum(xs []float64) (s float64) {
	for _, x := range xs {
		s += x
	}
	return s
}
