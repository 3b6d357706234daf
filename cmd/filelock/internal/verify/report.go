package verify

import (
	"time"

	"github.com/filelock-go/filelock/cmd/filelock/internal/probe"
	"github.com/filelock-go/filelock/cmd/filelock/internal/referee"
)

// Report is what a verification found. Its JSON is stable: fields are added, not
// changed.
type Report struct {
	Dir        string   `json:"dir"`
	Filesystem string   `json:"filesystem"`
	OneKernel  bool     `json:"one_kernel"` // of a kind that one kernel alone mounts
	Hosts      []string `json:"hosts"`      // that took part
	Processes  int      `json:"processes"`

	Verdict Verdict  `json:"verdict"`
	Why     []string `json:"why"`

	Seconds     float64   `json:"seconds"` // that the contest lasted
	Holds       int       `json:"holds"`
	Overlaps    int       `json:"overlaps"`
	Ordered     int       `json:"ordered"`     // pairs of which it is known who came first
	Overtakings int       `json:"overtakings"` // pairs of them that were served in the other order
	Waits       Quantiles `json:"waits"`
	Handoffs    Quantiles `json:"handoffs"`
	Failures    []string  `json:"failures,omitempty"`
	Vanished    int       `json:"vanished,omitempty"` // processes that ended early, killed perhaps

	Findings []probe.Finding `json:"findings"`

	// Score and Contenders are what the timeline is drawn from.
	Score      referee.Score       `json:"-"`
	Contenders []referee.Contender `json:"-"`
}

// Quantiles are of a number of times, in seconds.
type Quantiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func quantiles(ds []time.Duration) Quantiles {
	at := func(q float64) float64 { return referee.Quantile(ds, q).Seconds() }
	return Quantiles{Count: len(ds), P50: at(.5), P90: at(.9), P99: at(.99), Max: at(1)}
}

// score takes what the referee put down into the report.
func (r *Report) score(h referee.History) {
	s := referee.Judge(h)
	r.Score, r.Contenders = s, h.Contenders
	r.Processes = len(h.Contenders)
	r.Seconds = s.Lasted.Seconds()
	r.Holds, r.Overlaps = s.Holds, len(s.Overlaps)
	r.Ordered, r.Overtakings = s.Ordered, len(s.Overtakings)
	r.Waits, r.Handoffs = quantiles(s.Waits), quantiles(s.Handoffs)
	r.Failures, r.Vanished = s.Failures, s.Vanished
}
