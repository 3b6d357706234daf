package verify

import (
	"fmt"

	"github.com/filelock-go/filelock/cmd/filelock/internal/probe"
)

// Verdict says in one word what a directory is good for.
type Verdict string

const (
	// Safe: two are never inside, waiters are woken at once, and who is dead is passed
	// by.
	Safe Verdict = "safe"
	// SafeByPolling: two are never inside, but waiters learn of changes only when they
	// look for themselves.
	SafeByPolling Verdict = "safe by polling only"
	// NotSafe: two were inside, or may be.
	NotSafe Verdict = "not safe"
)

// decide comes to the verdict on what was seen, and says why.
func (r *Report) decide() {
	r.Verdict, r.Why = NotSafe, r.broken()
	if len(r.Why) > 0 {
		return
	}
	r.Verdict, r.Why = Safe, r.limits()
	if !r.OneKernel {
		r.Verdict = SafeByPolling
		r.Why = append([]string{"other machines may mount this filesystem: nobody is told of their changes, and of a dead owner on another machine nothing is known, so that its ticket blocks until an operator removes it or its lease runs out"}, r.Why...)
		return
	}
	for _, f := range r.Findings {
		if f.Property == "notification of changes" && f.Grade != probe.Good {
			r.Verdict = SafeByPolling
		}
	}
}

// broken lists what lets two in, or may.
func (r *Report) broken() (why []string) {
	if r.Overlaps > 0 {
		why = append(why, fmt.Sprintf("two were inside at the same time, %d times in %d holds", r.Overlaps, r.Holds))
	}
	for _, f := range r.Findings {
		if f.Grade == probe.Broken {
			why = append(why, fmt.Sprintf("%s (%s): %s", f.Property, f.Between, f.Result))
		}
	}
	if len(r.Failures) > 0 {
		why = append(why, fmt.Sprintf("%d acquisitions or releases failed, the first: %s", len(r.Failures), r.Failures[0]))
	}
	if r.Holds == 0 {
		why = append(why, "nobody ever got the lock")
	}
	return why
}

// limits lists what works for a price.
func (r *Report) limits() (why []string) {
	for _, f := range r.Findings {
		if f.Grade == probe.Limited {
			why = append(why, fmt.Sprintf("%s (%s): %s", f.Property, f.Between, f.Result))
		}
	}
	if r.Vanished > 0 {
		why = append(why, fmt.Sprintf("%d of %d processes ended before the contest did, for a reason that nobody here knows", r.Vanished, r.Processes))
	}
	if r.Overtakings > 0 {
		why = append(why, fmt.Sprintf("order was not kept: %d of %d entries that are known to have come later were earlier", r.Overtakings, r.Ordered))
	}
	return why
}
