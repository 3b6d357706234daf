package filelock

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/waitfor"
)

// deadlocks looks for circles of waits that this process is part of, and tells those
// who wait in them. It keeps nobody from anything, and ends no wait.
//
// A circle is closed by a wait that begins. So a look is due some time after that, and
// again and again as long as somebody in this process waits and holds something
// besides: who holds nothing keeps nobody waiting. No acquisition that waits for less
// than a second, and no process that holds one lock at a time, pays for it with more
// than a load of armed, or one look at its own lines.
var deadlocks = &detector{isHeir: sync.OnceValue(waitfor.IsHeir)}

const (
	// firstLook is how long after the beginning of a wait it is looked for circles.
	firstLook = time.Second
	// nextLook is how long after one look the next one is due.
	nextLook = 1500 * time.Millisecond
	// confirmLook is how long after the first look at a circle the second one is, that
	// must show the very same waits and holds: in between, all of them go on.
	confirmLook = 400 * time.Millisecond
	// thrift is how many times as long as a look took there is none after it.
	thrift = 200
)

// detector looks for circles. There is one in a process.
type detector struct {
	armed atomic.Bool // a look is due

	mu        sync.Mutex // for one look at a time
	suspected map[string]bool
	isHeir    func() bool // tickets are inherited at the start of a process
}

// arm has a look made before long. It is called whenever somebody begins to wait. Not in
// bubbles of testing/synctest: no timer may be of one.
func (d *detector) arm() {
	if !d.armed.Load() {
		d.schedule(firstLook)
	}
}

func (d *detector) schedule(after time.Duration) {
	if !bubble.Inside() && d.armed.CompareAndSwap(false, true) {
		time.AfterFunc(after, d.tick)
	}
}

// tick makes a look, and has the next one made if there may be something to see.
func (d *detector) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed.Store(false) // first: whoever begins to wait from now on may not be seen
	began := time.Now()
	waits := waitsHere()
	if len(waits) == 0 {
		return
	}
	heir := d.isHeir()
	look, watched := waitfor.NewLook(inProcess(waits), heir), false
	suspected, confirm := map[string]bool{}, false
	for _, w := range waits {
		if len(w.Held) == 0 && !heir {
			continue
		}
		watched = true
		circle, ok := look.Circle(w.Wait)
		switch {
		case !ok:
			w.tell("") // if it was part of one, that is no more
		case d.suspected[circle.Key]:
			suspected[circle.Key] = true
			w.tell(circle.Text(targetOf))
		default:
			suspected[circle.Key] = true
			confirm = true
		}
	}
	d.suspected = suspected
	switch {
	case confirm:
		d.schedule(confirmLook)
	case watched:
		d.schedule(max(nextLook, thrift*time.Since(began)))
	}
}

// wait is a wait of this process: of an owner, or of all in a line who name none.
type wait struct {
	waitfor.Wait
	site  *site
	line  *local.Line
	owner *Owner
}

// waitsHere returns the waits of this process.
func waitsHere() (waits []*wait) {
	held := map[*site]bool{}
	for _, s := range sitesHere() {
		for _, line := range s.linesHere() {
			known := map[*Owner]bool{}
			var here []*wait
			_, inside := line.Waits(func(a local.Attempt) {
				if g := a.(*grant); !g.try && !known[g.owner] {
					known[g.owner] = true
					here = append(here, &wait{site: s, line: line, owner: g.owner, Wait: waitfor.Wait{Queue: s.queue, ID: g}})
				}
			})
			if inside {
				held[s] = true
			}
			waits = append(waits, here...)
		}
	}
	// In the same order each time, so that of several circles the same one is found.
	slices.SortStableFunc(waits, func(a, b *wait) int { return a.Queue.Compare(b.Queue) })
	for _, w := range waits {
		w.hold(held)
	}
	return waits
}

// hold adds what whoever waits holds, of what this process does.
func (w *wait) hold(held map[*site]bool) {
	if w.owner != nil {
		w.Owner = w.owner
		w.Held = w.owner.queues()
		return
	}
	for s := range held {
		if s != w.site {
			w.Held = append(w.Held, s.queue)
		}
	}
	slices.SortFunc(w.Held, waitfor.Queue.Compare)
}

// tell tells all of whom w is the wait, and logs it once. "" is no circle.
func (w *wait) tell(circle string) {
	var observe func(turn.Event)
	front, _ := w.line.Waits(func(a local.Attempt) {
		g := a.(*grant)
		if g.try || g.owner != w.owner || g.circle == circle {
			return
		}
		if g.circle = circle; observe == nil && circle != "" {
			observe = g.cfg.Observe
		}
	})
	if observe != nil {
		e := turn.Event{Step: turn.Circular, Circle: circle}
		if own, ok := front.(*passage.Passage); ok {
			e.ID = own.Ticket()
		}
		observe(e)
	}
}

func inProcess(waits []*wait) []waitfor.Wait {
	own := make([]waitfor.Wait, len(waits))
	for i, w := range waits {
		own[i] = w.Wait
	}
	return own
}

// sitesHere returns the sites of all living FileLocks.
func sitesHere() (all []*site) {
	sites.mu.Lock()
	defer sites.mu.Unlock()
	for _, pointer := range sites.known {
		if s := pointer.Value(); s != nil {
			all = append(all, s)
		}
	}
	return all
}

// linesHere returns the lines of a site, but those in bubbles of testing/synctest, whose
// waits no time of ours can tell.
func (s *site) linesHere() (lines []*local.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, line := range s.lines {
		if !key.bubbled {
			lines = append(lines, line)
		}
	}
	return lines
}

// targetOf returns the target of a queue, or what is like it where nobody here has used
// the queue.
func targetOf(q waitfor.Queue) string {
	sites.mu.Lock()
	defer sites.mu.Unlock()
	if s := sites.known[siteKey(q.Dir, q.Prefix)].Value(); s != nil {
		return quote(s.target)
	}
	return quote(q.Target())
}
