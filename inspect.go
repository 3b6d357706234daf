package filelock

import "github.com/filelock-go/filelock/internal/passage"

// Queue is a lock's queue at one moment.
type Queue struct {
	Path    string   `json:"path"`    // the target
	Tickets []Ticket `json:"tickets"` // in the order of the queue
}

// Holder returns who is inside, or else the first ticket whose owner is neither dead
// nor away: it holds the lock or is about to. It reports false if the lock is free. Of
// several who share the lock it is the first, see Holders.
func (q Queue) Holder() (Ticket, bool) {
	if holders := q.Holders(); len(holders) > 0 {
		return holders[0], true
	}
	return Ticket{}, false
}

// Holders returns all who are inside, several if they share the lock. Where nobody
// can be seen to be inside, it returns those who are, or are about to be, as the order
// of the queue has it: the first ticket whose owner is neither dead nor away, and, if
// that is shared, those that follow it up to the first exclusive one.
func (q Queue) Holders() (holders []Ticket) {
	for _, t := range q.Tickets {
		if t.State == Inside {
			holders = append(holders, t)
		}
	}
	if len(holders) > 0 {
		return holders
	}
	for _, t := range q.Tickets {
		switch {
		case t.State == Dead, t.State == Resting:
		case len(holders) == 0, t.Shared && holders[0].Shared:
			holders = append(holders, t)
		default:
			return holders
		}
	}
	return holders
}

// Inspect returns who holds the lock of path and who waits, with a verdict on
// each owner. It takes no ticket, changes nothing and does not wait. Of the
// options only WithQueueDir, WithLogger and WithSlog matter (and WithCreateDirs, which
// creates what is missing here, too).
//
// The queue may have changed by the time Inspect returns. The verdicts are
// those of one look: what takes time to prove is Unknown or Alive here, as an
// owner whose locks are all free (see Reap) or a lease that ran out (waiters see
// that). The error is an *Error, with New's errors for the path and the
// filesystem's own.
func Inspect(path string, opts ...Option) (Queue, error) {
	l, err := newOnlooker(path, opts)
	if err != nil {
		return Queue{}, &Error{Op: "inspect", Path: path, Err: err}
	}
	all, err := passage.Inspect(&l.passage)
	if err != nil {
		return Queue{}, &Error{Op: "inspect", Path: l.path, Err: err}
	}
	q := Queue{Path: l.path, Tickets: []Ticket{}}
	for _, c := range all {
		t := newTicket(c)
		t.fillProcess(nil)
		q.Tickets = append(q.Tickets, t)
	}
	return q, nil
}
