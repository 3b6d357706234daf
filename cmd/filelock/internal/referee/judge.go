package referee

import (
	"fmt"
	"slices"
	"time"
)

// dying is how long a contender that was killed may seem to be inside: until the
// end of its connection has come here.
const dying = 500 * time.Millisecond

// Span is one use of the lock, as far as it came: Entered and Left are 0 if it did
// not get there.
type Span struct {
	Asked, Entered, Left time.Duration
}

// Overlap is a moment at which two were inside.
type Overlap struct {
	At            time.Duration
	Inside, Enter int // who was inside, and who came in
}

// Overtaking is an entry of one who had asked only after another one had its place,
// who was still waiting.
type Overtaking struct {
	At         time.Duration
	First, Who int // who had its place first, and who entered nevertheless
}

// Score is what a history comes to.
type Score struct {
	Holds    int
	Overlaps []Overlap
	// Ordered is how many entries there were of one who had asked after another one
	// had its place, in whichever order they came in: Overtakings are those of
	// them that were out of order.
	Ordered     int
	Overtakings []Overtaking
	// Waits are from the question to the entry, Handoffs from a holder's last word to
	// the first of one who was in line by then: both with the way to the referee.
	Waits, Handoffs []time.Duration
	Failures        []string
	Vanished        int      // contenders that ended before they had done what they had to
	Spans           [][]Span // of each contender
	Lasted          time.Duration
}

// line is what the judge knows of one contender at one moment of the history.
type line struct {
	asked, queued time.Duration
	waits         bool // it has asked, and is not inside
	placed        bool // queued says since when it has a place that it keeps until it enters
	inside        bool
}

// judge goes through a history.
type judge struct {
	h     History
	score Score
	lines []line
	left  time.Duration // when the last holder went out
	empty bool          // nobody has come in since then
}

// Judge goes through a history.
func Judge(h History) Score {
	j := judge{h: h, lines: make([]line, len(h.Contenders))}
	j.score.Spans = make([][]Span, len(h.Contenders))
	for i, e := range h.Events {
		j.event(i, e)
		j.score.Lasted = e.At
	}
	return j.score
}

func (j *judge) event(i int, e Event) {
	l := &j.lines[e.Who]
	switch e.What {
	case Asks:
		*l = line{asked: e.At, waits: true, inside: l.inside}
		j.score.Spans[e.Who] = append(j.score.Spans[e.Who], Span{Asked: e.At})
	case Queues:
		if !l.placed { // the first time tells since when
			l.queued, l.placed = e.At, j.keeps(i)
		}
	case Restarts:
		l.placed = false
	case Enters:
		j.enter(i, e)
	case Leaves:
		l.inside = false
		j.ends(e)
		j.left, j.empty = e.At, true
	case Fails:
		l.waits, l.placed = false, false
		c := j.h.Contenders[e.Who]
		j.score.Failures = append(j.score.Failures, fmt.Sprintf("%s pid %d: %s", c.Host, c.PID, e.Text))
	case Vanishes:
		j.score.Vanished++
		if l.inside {
			j.ends(e)
		}
		*l = line{}
	}
}

// keeps reports whether the place that was told of in event i was kept until the
// entry: it may be lost to others who took its owner for stalled, which breaks no
// promise.
func (j *judge) keeps(i int) bool {
	for _, e := range j.h.Events[i+1:] {
		if e.Who == j.h.Events[i].Who && e.What != Queues {
			return e.What == Enters
		}
	}
	return false
}

func (j *judge) enter(i int, e Event) {
	l := &j.lines[e.Who]
	j.score.Holds++
	j.score.Waits = append(j.score.Waits, e.At-l.asked)
	if j.empty && l.placed && l.queued < j.left {
		j.score.Handoffs = append(j.score.Handoffs, e.At-j.left)
	}
	j.empty = false
	for other := range j.lines {
		o := &j.lines[other]
		switch {
		case other == e.Who:
		case o.inside && !j.vanishes(i, other):
			j.score.Overlaps = append(j.score.Overlaps, Overlap{At: e.At, Inside: other, Enter: e.Who})
		case o.waits && o.placed && o.queued < l.asked:
			j.score.Ordered++
			j.score.Overtakings = append(j.score.Overtakings, Overtaking{At: e.At, First: other, Who: e.Who})
		case o.waits && l.placed && l.queued < o.asked:
			j.score.Ordered++
		}
	}
	l.inside, l.waits, l.placed = true, false, false
	if s := j.span(e.Who); s != nil {
		s.Entered = e.At
	}
}

// vanishes reports whether the next that is heard of a contender is, soon after
// event i, that it is gone.
func (j *judge) vanishes(i, who int) bool {
	for _, e := range j.h.Events[i:] {
		if e.Who == who {
			return e.What == Vanishes && e.At-j.h.Events[i].At < dying
		}
	}
	return false
}

// ends notes when the contender's present use ended. One that never asked has none.
func (j *judge) ends(e Event) {
	if s := j.span(e.Who); s != nil {
		s.Left = e.At
	}
}

// span returns the contender's present use of the lock.
func (j *judge) span(who int) *Span {
	spans := j.score.Spans[who]
	if len(spans) == 0 {
		return nil
	}
	return &spans[len(spans)-1]
}

// Quantile returns the smallest of ds that a part q of them does not exceed, or 0
// if there are none. It sorts ds.
func Quantile(ds []time.Duration, q float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[min(len(ds)-1, int(q*float64(len(ds))))]
}
