package keyqueue

import (
	"context"

	"github.com/filelock-go/filelock/engine"
)

// acquaintance is what a waiter knows of the process of the ticket that it waits for: if
// that is of the same machine, its end is told, and nobody need wait for its lease.
type acquaintance struct {
	ticket Entry
	ended  <-chan struct{} // nil: nothing is known
	part   func()          // nil: nobody was asked
}

// turnTo makes the acquaintance of another ticket's process. For one ticket it is tried
// once: in between, a process may end and somebody else be there.
func (a *acquaintance) turnTo(p Process, ticket Entry) {
	if a.ticket.Key == ticket.Key && a.ticket.Created == ticket.Created {
		return
	}
	a.end()
	a.ticket = ticket
	a.ended, a.part = p.meet(ticket)
}

func (a *acquaintance) end() {
	if a.part != nil {
		a.part()
	}
	*a = acquaintance{}
}

// bury removes the ticket, whose process has ended. If that fails, it ends with its lease.
func (a *acquaintance) bury(ctx context.Context, q *Queue) {
	_ = q.Evict(ctx, engine.Contender{ID: a.ticket.Key, Serial: uint64(a.ticket.Created)})
	a.ended = nil
}
