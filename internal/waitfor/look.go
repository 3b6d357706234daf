package waitfor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// Wait is a wait of this process.
type Wait struct {
	Queue Queue
	// Owner is who waits, if it is named, and Held is what it holds; otherwise what
	// the process holds, of which nobody knows in whose name.
	Owner any
	Held  []Queue
	ID    any // a pointer that is of this wait only
}

// Look is one look at who waits for whom. It goes from what is held here to those who
// wait for that, and on to what they hold, until that is what is waited for here: where
// nobody waits for what is held, that is one listing. What it has seen it does not look at
// again. One goroutine at a time may use it.
type Look struct {
	self   liveness.Identity
	known  bool // self is, and pids mean something here
	own    []Wait
	heir   []Ticket // what this process has inherited, and holds by that
	open   map[int][]Ticket
	listed map[Queue][]queue.Ticket
}

// NewLook returns a look that has seen nothing yet. own are the waits of this process.
// heir is whether it has inherited tickets; see IsHeir.
func NewLook(own []Wait, heir bool) *Look {
	l := &Look{own: own, open: map[int][]Ticket{}, listed: map[Queue][]queue.Ticket{}}
	self, err := liveness.Self()
	l.self, l.known = self, err == nil && self.PIDSpace != 0
	if heir && l.known {
		l.heir = inherited(self)
	}
	return l
}

// IsHeir reports whether this process has tickets open that are another process's.
func IsHeir() bool {
	self, err := liveness.Self()
	return err == nil && self.PIDSpace != 0 && len(inherited(self)) > 0
}

func inherited(self liveness.Identity) []Ticket {
	return slices.DeleteFunc(Open(self.PID), func(t Ticket) bool {
		return t.State != Inside || mine(self, t.Name)
	})
}

func mine(self liveness.Identity, n ticket.Name) bool {
	return n.PIDSpace.Same(self.PIDSpace) && n.PID == self.PID && n.Start == self.Start
}

// held is a queue whose lock is held by one who waits, and how it was come to.
type held struct {
	queue  Queue
	waits  Step // of who holds it
	key    string
	before *held // what that one waits for; nil: it is the first one
}

// Circle returns a circle that w is part of, if there is one: the shortest, or one of
// these.
func (l *Look) Circle(w Wait) (Circle, bool) {
	for _, t := range l.heir {
		if w.Owner == nil && t.Queue == w.Queue {
			return Circle{Steps: []Step{{l.who(), w.Queue}}, Key: t.key()}, true
		}
	}
	first := Step{l.who(), w.Queue}
	var found []*held
	for _, q := range w.Held {
		found = append(found, &held{queue: q, waits: first, key: fmt.Sprintf("%p", w.ID)})
	}
	if w.Owner == nil {
		for _, t := range l.heir {
			found = append(found, &held{queue: t.Queue, waits: first, key: fmt.Sprintf("%p %s", w.ID, t.key())})
		}
	}
	seen := map[Queue]bool{}
	for len(found) > 0 {
		h := found[0]
		found = found[1:]
		if seen[h.queue] || h.queue == w.Queue {
			continue
		}
		seen[h.queue] = true
		for _, next := range append(l.owners(w, h), l.processes(h)...) {
			if next.queue == w.Queue {
				return l.circle(next), true
			}
			found = append(found, next)
		}
	}
	return Circle{}, false
}

func (l *Look) who() string { return fmt.Sprintf("pid %d", l.self.PID) }

// owners returns what the other named owners of this process hold that wait for h.
func (l *Look) owners(w Wait, h *held) (found []*held) {
	for _, o := range l.own {
		if o.Owner == nil || o.Owner == w.Owner || o.Queue != h.queue {
			continue
		}
		for _, q := range o.Held {
			found = append(found, &held{q, Step{"another owner in " + l.who(), h.queue}, fmt.Sprintf("%p", o.ID), h})
		}
	}
	return found
}

// processes returns what the other processes hold that wait for h.
func (l *Look) processes(h *held) (found []*held) {
	for _, t := range l.list(h.queue) {
		name, ok := ticket.Parse(h.queue.Prefix, t.Name)
		if !ok || name.Plain || !name.PIDSpace.Same(l.self.PIDSpace) || name.PID == l.self.PID {
			continue
		}
		tickets := l.openOf(name.PID)
		i := slices.IndexFunc(tickets, func(o Ticket) bool { return o.File == t.Name && o.State == Waiting })
		if i < 0 {
			continue
		}
		for _, o := range tickets {
			if o.State == Inside && l.there(o) {
				step := Step{fmt.Sprintf("pid %d", name.PID), h.queue}
				found = append(found, &held{o.Queue, step, tickets[i].key() + " " + o.key(), h})
			}
		}
	}
	return found
}

// circle returns the circle of what was come to, which is what is waited for.
func (l *Look) circle(h *held) Circle {
	c := Circle{Certain: true}
	var keys []string
	for ; h.before != nil; h = h.before {
		c.Steps = append(c.Steps, h.waits)
		c.Certain = c.Certain && strings.HasPrefix(h.waits.Who, "another owner")
		keys = append(keys, h.key)
	}
	first := h.waits
	if c.Certain {
		first.Who = "an owner in " + first.Who
	}
	c.Steps = append([]Step{first}, c.Steps...)
	c.Key = strings.Join(append(keys, h.key), " ")
	return c
}

// openOf returns the tickets that a process has open.
func (l *Look) openOf(pid int) []Ticket {
	tickets, ok := l.open[pid]
	if !ok {
		tickets = Open(pid)
		l.open[pid] = tickets
	}
	return tickets
}

// there reports whether a ticket is in the directory of that name as this process sees
// it: one in another mount namespace may have other files by the same names.
func (l *Look) there(t Ticket) bool {
	return slices.ContainsFunc(l.list(t.Queue), func(o queue.Ticket) bool { return o.Name == t.File })
}

// list returns the tickets of a queue, if the kernel tells of all its locks here.
func (l *Look) list(q Queue) (tickets []queue.Ticket) {
	if !l.known {
		return nil
	}
	if tickets, ok := l.listed[q]; ok {
		return tickets
	}
	if v, err := ticketdir.Open(ticketdir.Queue{Dir: q.Dir, Prefix: q.Prefix}); err == nil {
		defer v.Close()
		if v.Entries() {
			tickets, _ = v.List()
		}
	}
	l.listed[q] = tickets
	return tickets
}
