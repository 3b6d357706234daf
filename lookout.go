package filelock

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/turn"
)

const (
	// lookPause is how long after a look the next one is at the least, and if that did not
	// see all that it was for.
	lookPause = time.Millisecond
	// steadyLooks is how often a look is made again because the line has moved on
	// meanwhile.
	steadyLooks = 3
)

// lookout looks at what the acquisitions of one line wait for, for all of them that are
// told of their wait. If each looked for itself, n of them would go n times through a line
// of n, with its mutex, and ask n times about one holder. It has one goroutine, and each
// call that goes on has one.
type lookout struct {
	line *line
	bell chan struct{} // has room for one: somebody has come
	done chan struct{} // closed when nobody is left

	notices map[*notice]bool // guarded by lookouts.mu

	// Of the goroutine that looks. The slices and maps are kept for the next look.
	told          []*notice
	due, unseen   []due
	met           []met
	before, after standings
	again         bool   // the last look did not see all that it was for
	holder        Ticket // who was ahead at the last look
}

// due is a notice that a look is for, and whom it looks for.
type due struct {
	*notice
	attempt local.Attempt
}

// met is an attempt that was met in the line, and where.
type met struct {
	attempt local.Attempt
	place   place
}

// lookouts are those at work, each for as long as somebody in its line is to be told.
var lookouts = struct {
	mu    sync.Mutex
	at    map[*line]*lookout
	walks atomic.Int64 // through lines; for tests
}{at: map[*line]*lookout{}}

// lookoutOf returns the lookout of a line, with n among those that it looks for.
func lookoutOf(line *line, n *notice) *lookout {
	lookouts.mu.Lock()
	defer lookouts.mu.Unlock()
	l := lookouts.at[line]
	if l == nil {
		l = &lookout{line: line, bell: make(chan struct{}, 1), done: make(chan struct{}), notices: map[*notice]bool{}}
		lookouts.at[line] = l
		go l.run()
	}
	l.notices[n] = true
	select {
	case l.bell <- struct{}{}:
	default:
	}
	return l
}

// leave ends the looks for n, and with the last one the lookout.
func (l *lookout) leave(n *notice) {
	lookouts.mu.Lock()
	defer lookouts.mu.Unlock()
	delete(l.notices, n)
	if len(l.notices) == 0 {
		delete(lookouts.at, l.line)
		close(l.done)
	}
}

// run looks until nobody is left. Whoever comes is looked for at once but, since many may
// come at once, not sooner than lookPause after the last look.
func (l *lookout) run() {
	for {
		pause := l.look()
		if !l.sleep(lookPause, nil) || !l.sleep(pause-lookPause, l.bell) {
			return
		}
	}
}

// sleep reports whether to go on.
func (l *lookout) sleep(d time.Duration, bell <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.done:
		return false
	case <-bell:
	case <-timer.C:
	}
	return true
}

// look looks once, and returns when the next look is due.
func (l *lookout) look() (pause time.Duration) {
	pause = l.gather()
	if len(l.due) == 0 {
		return pause // until calls have returned
	}
	age := pause / 2
	if l.again {
		age = 0
	}
	l.again = false
	l.unseen = l.unseen[:0]
	waiting := l.due
	l.walk(&l.before)
	for range steadyLooks {
		o, ok := l.before.front.(turn.Observable)
		if !ok || len(waiting) == 0 {
			break
		}
		r := o.Survey(age)
		l.know(r)
		l.walk(&l.after)
		waiting = slices.DeleteFunc(waiting, func(d due) bool { return l.saw(d, r) })
		l.before, l.after = l.after, l.before
	}
	l.remind(append(l.unseen, waiting...))
	if l.again {
		return lookPause
	}
	return pause
}

// gather notes whom a look is for, and returns how long it is until the next one.
func (l *lookout) gather() (pause time.Duration) {
	pause = longestLook
	l.told = l.told[:0]
	lookouts.mu.Lock()
	for n := range l.notices {
		pause = min(pause, n.pause)
		l.told = append(l.told, n)
	}
	lookouts.mu.Unlock()
	l.due = l.due[:0]
	for _, n := range l.told {
		if a, ok := n.lookedFor(); ok {
			l.due = append(l.due, due{n, a})
		}
	}
	return pause
}

// saw tells d's caller what r means to it, unless its place in the line has changed
// meanwhile, and reports whether that is done.
func (l *lookout) saw(d due, r turn.Report) bool {
	p, ok := l.before.steady(&l.after, d.attempt)
	if !ok {
		return false
	}
	w, known := l.wait(r, p)
	if !known {
		l.unseen = append(l.unseen, d)
		return true
	}
	d.looked(true)
	l.again = d.see(l, w, true) || l.again
	return true
}

// remind is for those of whom a look saw nobody ahead. If that lasts, they are told what the
// waiter itself has seen.
func (l *lookout) remind(unseen []due) {
	unseen = slices.DeleteFunc(unseen, func(d due) bool {
		again := d.looked(false)
		l.again = l.again || again
		return again
	})
	if len(unseen) == 0 {
		return
	}
	l.walk(&l.before)
	var r turn.Report
	if l.before.front != nil {
		r = l.before.front.Report()
	}
	l.know(r)
	for _, d := range unseen {
		w, known := l.wait(r, l.before.places[d.attempt])
		l.again = d.see(l, w, known) || l.again
	}
}

// know notes who a report says is ahead. What the process table has of it is asked for
// once for all.
func (l *lookout) know(r turn.Report) {
	if r.Known {
		before := l.holder
		l.holder = newTicket(r.First)
		l.holder.fillProcess(&before)
	}
}

// wait is what a report means to one in a place, and whether that shows anybody ahead.
func (l *lookout) wait(r turn.Report, p place) (w Wait, known bool) {
	r = r.For(p.shared)
	w = Wait{Ahead: r.Ahead + p.ahead, Deadlock: p.circle}
	if r.Known {
		w.Holder = l.holder
	}
	return w, r.Known && w.Ahead > 0
}

// standings are where the attempts of a line stand at one moment.
type standings struct {
	front  turn.Passage
	places map[local.Attempt]place
}

// place is where an attempt stands in its line.
type place struct {
	shared bool   // the attempt's kind
	ahead  int    // goroutines in its way
	circle string // that its wait was found to be part of
}

// steady returns an attempt's place, if that was the same later.
func (s *standings) steady(later *standings, a local.Attempt) (p place, ok bool) {
	p, ok = s.places[a]
	now, still := later.places[a]
	return p, ok && still && s.front == later.front && p == now
}

// walk goes through the line, once for all. It holds the line's mutex for as short as may
// be, and so takes notes first.
func (l *lookout) walk(s *standings) {
	lookouts.walks.Add(1)
	l.met = l.met[:0]
	s.front = l.line.Places(func(a local.Attempt, ahead int) {
		g := a.(*grant)
		l.met = append(l.met, met{g, place{g.Shared(), ahead, g.circle}})
	})
	if s.places == nil {
		s.places = map[local.Attempt]place{}
	}
	clear(s.places)
	for _, m := range l.met {
		s.places[m.attempt] = m.place
	}
}
