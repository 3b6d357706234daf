package cli

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/filelock-go/filelock/engine"
)

// careful is a lock service whose leases end early for their owner: by the time that
// a command is given to end when its lock is lost. So a command that the service is not
// heard of for is over before the service lets another one in.
//
// It also waits, when it is closed, for what its tickets still tell the service.
type careful struct {
	engine.Service

	mu      sync.Mutex
	tickets map[*carefulTicket]bool // those that have a place, or are just leaving it
	none    chan struct{}           // to be closed when there are none; nil: nobody waits for it
	renewed func()                  // nil: nobody is told
}

func newCareful(s engine.Service) *careful {
	return &careful{Service: s, tickets: map[*carefulTicket]bool{}}
}

// killGrace is how long a command may take to end after TERM when its lock is lost.
const killGrace = 5 * time.Second

// reserve is the part of a lease that is for the end of the command.
func reserve(lease time.Duration) time.Duration { return min(killGrace, lease/2) }

// Open implements engine.Engine.
func (c *careful) Open(name string, o engine.Options) (engine.Queue, error) {
	q, err := c.Service.Open(name, o)
	if err != nil {
		return nil, err
	}
	return &carefulQueue{q, c}, nil
}

// Close implements engine.Service.
func (c *careful) Close(ctx context.Context) error {
	none := make(chan struct{})
	c.mu.Lock()
	c.none = none
	c.remove(nil)
	c.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
	return c.Service.Close(ctx)
}

// remove forgets a ticket. The caller has mu.
func (c *careful) remove(t *carefulTicket) {
	delete(c.tickets, t)
	if len(c.tickets) == 0 && c.none != nil {
		close(c.none)
		c.none = nil
	}
}

// onRenewal has f called whenever a lease was renewed.
func (c *careful) onRenewal(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewed = f
}

// left is how long the first of the leases lasts yet, less a little for the last
// moments of a process that is killed. Since says how much time has passed.
func (c *careful) left(since func(time.Time) time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := time.Duration(math.MaxInt64)
	for t := range c.tickets {
		left = min(left, t.term.Length-since(t.term.Since)-reserve(t.term.Length)/10)
	}
	return left
}

// sinceAtMost is time.Since, or what has passed by the clock on the wall if that is more:
// Go's clock may stand still while the machine is suspended. It is for who has lost a
// lease, for a clock on the wall may be set, too.
func sinceAtMost(t time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

type carefulQueue struct {
	engine.Queue
	service *careful
}

// New implements engine.Queue. Its tickets are no engine.Swappers: no goroutines of
// this process wait for each other.
func (q *carefulQueue) New(shared bool) engine.Ticket {
	return &carefulTicket{Ticket: q.Queue.New(shared), service: q.service}
}

type carefulTicket struct {
	engine.Ticket
	service *careful
	term    engine.Term // as the service has it, since its last renewal; guarded by service.mu
}

// Join implements engine.Ticket.
func (t *carefulTicket) Join(ctx context.Context) (engine.Term, error) {
	return t.joined(t.Ticket.Join(ctx))
}

// Try implements engine.Ticket.
func (t *carefulTicket) Try(ctx context.Context) (engine.Term, error) {
	return t.joined(t.Ticket.Try(ctx))
}

func (t *carefulTicket) joined(term engine.Term, err error) (engine.Term, error) {
	if err != nil {
		return term, err
	}
	t.service.mu.Lock()
	defer t.service.mu.Unlock()
	t.term = term
	t.service.tickets[t] = true
	return engine.Term{Length: term.Length - reserve(term.Length), Since: term.Since}, nil
}

// Renew implements engine.Ticket.
func (t *carefulTicket) Renew(ctx context.Context) error {
	sent := time.Now()
	err := t.Ticket.Renew(ctx)
	if err != nil {
		return err
	}
	t.service.mu.Lock()
	t.term.Since = sent
	renewed := t.service.renewed
	t.service.mu.Unlock()
	if renewed != nil {
		renewed()
	}
	return nil
}

// Leave implements engine.Ticket. The library does not always wait for it.
func (t *carefulTicket) Leave(ctx context.Context) error {
	defer func() {
		t.service.mu.Lock()
		defer t.service.mu.Unlock()
		t.service.remove(t)
	}()
	return t.Ticket.Leave(ctx)
}
