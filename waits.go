package filelock

import (
	"slices"

	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/waitfor"
)

// wait is a wait of this process: of an owner, or of all in a line who name none.
type wait struct {
	waitfor.Wait
	site  *site
	line  *line
	owner *Owner
}

// waitsHere returns the waits of this process.
func waitsHere() (waits []*wait) {
	held := map[*site]bool{} // in nobody's name
	for _, s := range sitesHere() {
		for _, line := range s.linesHere() {
			known := map[*Owner]bool{}
			var here []*wait
			line.Waits(func(a local.Attempt) {
				if g := a.(*grant); !g.try && !known[g.owner] {
					known[g.owner] = true
					here = append(here, &wait{site: s, line: line, owner: g.owner, Wait: waitfor.Wait{Queue: s.queue, ID: g}})
				}
			})
			if line.nameless.Load() > 0 {
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

// hold adds what whoever waits holds: its owner, or, if it names none, perhaps what this
// process holds in nobody's name. What a named owner holds is nobody else's.
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
	front := w.line.Waits(func(a local.Attempt) {
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
	sites.Each(func(_ string, s *site) { all = append(all, s) })
	return all
}

// linesHere returns the lines of a site, but those in bubbles of testing/synctest, whose
// waits no time of ours can tell.
func (s *site) linesHere() (lines []*line) {
	s.lines.Each(func(key lineKey, l *line) {
		if !key.bubbled {
			lines = append(lines, l)
		}
	})
	return lines
}

// targetOf returns the target of a queue, or what is like it where nobody here has used
// the queue.
func targetOf(q waitfor.Queue) string {
	if s := sites.Find(siteKey(q.Dir, q.Prefix)); s != nil {
		return ticket.Quote(s.target)
	}
	return ticket.Quote(q.Target())
}
