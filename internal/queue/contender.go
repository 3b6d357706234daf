package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Contender is one passage through the queue: Join, then Wait or Try until it
// returns nil, then Leave or Rest. After any error but the context's, only Leave makes
// sense; after the context's, Wait may be called again and keeps the place.
// One goroutine at a time may use it; Ahead is safe at any time.
type Contender struct {
	dir        Directory
	others     Others
	plainPeers bool
	shared     bool  // its kind
	final      bool  // the doorway is behind us
	failed     error // no use in trying again
	mayRest    bool
	marked     bool // its ticket rests, or did until it came in again
	solitude
	crowded bool // others that conflict were there at the last listing

	mu    sync.Mutex // for Own and Ahead, whose callers may be other goroutines
	own   Ticket
	ahead []Ticket // the lower tickets not yet known to be out of the way, in order
	below []Ticket // the lower ones that do not conflict, as the deciding listing had them

	passed []Ticket // lower ones that rest, to be looked at before entering
}

// New returns a contender for the queue in dir. With plainPeers it follows R12.
func New(dir Directory, others Others, plainPeers bool) *Contender {
	c := new(Contender)
	c.Init(dir, others, plainPeers)
	return c
}

// Init is New for a zero Contender.
func (c *Contender) Init(dir Directory, others Others, plainPeers bool) {
	c.dir, c.others, c.plainPeers = dir, others, plainPeers
}

// Share has the contender's kind be shared. It is called before Join, once.
func (c *Contender) Share() { c.shared = true }

// Reset makes c as good as new, for another passage in another dir.
func (c *Contender) Reset(dir Directory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dir, c.final, c.failed, c.own, c.ahead, c.below = dir, false, nil, Ticket{}, nil, nil
	c.solitude, c.marked, c.mayRest, c.crowded, c.passed = solitude{}, false, false, false, nil
}

// Ahead returns the first of the tickets known to be ahead, their number, and how many of
// them are shared.
func (c *Contender) Ahead() (first Ticket, n, shared int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ahead) > 0 {
		first = c.ahead[0]
	}
	for _, t := range c.ahead {
		if t.Shared {
			shared++
		}
	}
	return first, len(c.ahead), shared
}

// AllAhead returns the tickets known to be ahead, in order.
func (c *Contender) AllAhead() []Ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ahead)
}

// Standing returns the own ticket and those known to be ahead of it, in order: none in
// the doorway, when nobody knows yet.
func (c *Contender) Standing() (own Ticket, ahead []Ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own, slices.Clone(c.ahead)
}

// Below returns the tickets that may be below the own one, in order: those ahead and,
// as the deciding listing had them, those that do not conflict.
func (c *Contender) Below() []Ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append(slices.Clone(c.ahead), c.below...)
	if len(c.below) > 0 {
		slices.SortFunc(all, Ticket.Compare)
	}
	return all
}

// CountBelow returns how many Below returns.
func (c *Contender) CountBelow() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ahead) + len(c.below)
}

// Waiting returns how many of those below wait or are inside alone, as their kinds
// tell.
func (c *Contender) Waiting() int {
	if c.shared {
		return Waiting(c.Below())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return Waiting(c.ahead)
}

// Waiting returns how many of these tickets, in order, wait or are inside alone: the
// first exclusive one and all above it. Those that are shared, below that, count as
// one.
func Waiting(ts []Ticket) int {
	first := slices.IndexFunc(ts, func(t Ticket) bool { return !t.Shared })
	if first < 0 {
		first = len(ts)
	}
	return len(ts) - first + min(first, 1)
}

// Own returns the own ticket. Its number is known after the doorway.
func (c *Contender) Own() Ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own
}

// Join takes a ticket (R1). On error there is none.
func (c *Contender) Join() error {
	name, err := c.dir.Create()
	if err != nil {
		return err
	}
	c.setOwn(Ticket{Name: name})
	return nil
}

func (c *Contender) setAhead(ts []Ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = ts
}

func (c *Contender) setBelow(ts []Ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.below = ts
}

func (c *Contender) setOwn(t Ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Shared = c.shared
	c.own = t
}

// Leave removes the ticket (R7).
func (c *Contender) Leave() error { return c.dir.Remove() }

// Wait returns nil when it is this contender's turn.
func (c *Contender) Wait(ctx context.Context) error { return c.enter(ctx, false) }

// Try is Wait, but fails with ErrBusy as soon as it is certain that another
// contender is ahead. It waits only for tickets whose owners may still be in
// the doorway and rise: without that, N contenders that try a free lock at the
// same moment could each fail because of another.
func (c *Contender) Try(ctx context.Context) error { return c.enter(ctx, true) }

func (c *Contender) enter(ctx context.Context, try bool) error {
	if c.failed != nil {
		return c.failed
	}
	err := c.through(ctx, try)
	if err != nil && !Resumable(err) {
		c.failed = err
	}
	return err
}

// Resumable reports whether an error of Wait or Try left the place as it was.
func Resumable(err error) bool {
	return errors.Is(err, ErrBusy) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
