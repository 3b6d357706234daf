package waitfor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// confirmAfter is how far two looks are apart that have to show the same circle. Within
// one look things move on.
const confirmAfter = 300 * time.Millisecond

// Survey returns the processes that have tickets open, and the circles among them,
// which it has seen twice. It takes 300 ms if there may be one.
func Survey() ([]Process, []Circle) {
	all := All()
	circles := Circles(all)
	if len(circles) == 0 {
		return all, nil
	}
	time.Sleep(confirmAfter)
	all = All()
	again := Circles(all)
	return all, slices.DeleteFunc(again, func(c Circle) bool {
		return !slices.ContainsFunc(circles, func(o Circle) bool { return o.Key == c.Key })
	})
}

// Circles returns the circles among processes: for each process the shortest one in which
// it has the lowest pid.
func Circles(all []Process) (circles []Circle) {
	for i := range all {
		if c, ok := circleFrom(all[i:]); ok {
			circles = append(circles, c)
		}
	}
	return circles
}

// link is a wait on the way of a search, and the one before it.
type link struct {
	pid    int
	waits  Ticket
	holds  Ticket // what the one before waits for; of the first one, nothing
	before *link
}

// circleFrom returns the shortest circle of all[0] and those behind it.
func circleFrom(all []Process) (Circle, bool) {
	first := all[0]
	seen := map[int]bool{}
	ways := waitsOf(first, nil, Ticket{})
	for len(ways) > 0 {
		way := ways[0]
		ways = ways[1:]
		for _, p := range all {
			held, ok := holds(p, way.waits, first.Mounts)
			switch {
			case !ok:
			case p.PID == first.PID && (way.before != nil || held.Name.PID != p.PID):
				return circleOf(way, held), true
			case p.PID != first.PID && !seen[p.PID]:
				seen[p.PID] = true
				ways = append(ways, waitsOf(p, way, held)...)
			}
		}
	}
	return Circle{}, false
}

func waitsOf(p Process, before *link, held Ticket) (ways []*link) {
	for _, t := range p.Tickets {
		if t.State == Waiting {
			ways = append(ways, &link{p.PID, t, held, before})
		}
	}
	return ways
}

// holds returns the ticket by which a process holds what another one waits for.
func holds(p Process, waits Ticket, mounts uint64) (Ticket, bool) {
	i := slices.IndexFunc(p.Tickets, func(t Ticket) bool {
		return p.Mounts == mounts && t.State == Inside && t.Queue == waits.Queue && t.Name.Place == waits.Name.Place
	})
	if i < 0 {
		return Ticket{}, false
	}
	return p.Tickets[i], true
}

// circleOf returns the circle of a way that has come to what its first one holds.
func circleOf(way *link, held Ticket) (c Circle) {
	keys := []string{held.key()}
	for ; way != nil; way = way.before {
		c.Steps = append(c.Steps, Step{fmt.Sprintf("pid %d", way.pid), way.waits.Queue})
		keys = append(keys, way.waits.key(), way.holds.key())
	}
	slices.Reverse(c.Steps)
	c.Key = strings.Join(keys, " ")
	return c
}
