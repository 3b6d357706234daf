package locktest

import "fmt"

// Step is what a contender does.
type Step int

const (
	Asked   Step = iota + 1 // begins to acquire
	Final                   // its place in the queue is final
	Entered                 // has acquired
	Left                    // is about to release
	GaveUp                  // has not acquired
	Killed                  // its process is about to be killed
)

// Event is a step of one contender, by a number that is its own, or of all of the
// process with the number of Killed.
type Event struct {
	Step   Step
	Shared bool
	Who    int
}

// Verdict is what Judge finds in a history.
type Verdict struct {
	Readers, Writers int // how often they were inside
	// Wrong says in words where two were inside that exclude each other, and where
	// somebody was overtaken whose place was final, and who came in later. (Who gives
	// up has left the queue some time before that is noted.)
	Wrong []string
	// LongestReader and LongestWriter are the most that a contender let in before
	// itself, of those that exclude it, from the time on when it asked.
	LongestReader, LongestWriter int
}

// contending is one contender from Asked to Left.
type contending struct {
	Event            // the last step
	asked, final int // when, by the order of the events; -1: not
	waited       int // how many that exclude it were let in before it
	overtaken    []string
}

// Judge goes through a history. process tells of which process a contender is.
func Judge(events []Event, process func(who int) int) (v Verdict) {
	now := map[int]*contending{}
	dead := map[int]bool{}
	for at, e := range events {
		if e.Step != Killed && dead[process(e.Who)] {
			continue // it lived for a moment after that was noted
		}
		c := now[e.Who]
		switch e.Step {
		case Asked:
			now[e.Who] = &contending{Event: e, asked: at, final: -1}
		case Final:
			c.final = at
		case Entered:
			v.enter(now, c, e)
		case Left, GaveUp:
			delete(now, e.Who)
		case Killed:
			dead[e.Who] = true
			for who := range now {
				if process(who) == e.Who {
					delete(now, who)
				}
			}
		}
	}
	return v
}

// enter has c come in, and looks at all others.
func (v *Verdict) enter(now map[int]*contending, c *contending, e Event) {
	c.Step = Entered
	v.Wrong = append(v.Wrong, c.overtaken...)
	for _, o := range now {
		if o == c || o.Shared && c.Shared {
			continue
		}
		switch {
		case o.Step == Entered:
			v.Wrong = append(v.Wrong, fmt.Sprintf("%d came in (shared: %t) while %d was inside (shared: %t)", e.Who, c.Shared, o.Who, o.Shared))
		case o.final >= 0 && o.final < c.asked:
			o.overtaken = append(o.overtaken, fmt.Sprintf("%d asked (shared: %t) when the place of %d was final (shared: %t), and came in before it", e.Who, c.Shared, o.Who, o.Shared))
		}
		o.waited++
	}
	if c.Shared {
		v.Readers++
		v.LongestReader = max(v.LongestReader, c.waited)
	} else {
		v.Writers++
		v.LongestWriter = max(v.LongestWriter, c.waited)
	}
}
