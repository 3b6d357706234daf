package filelock

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/turn"
)

// An Owner is an identity that the caller gives to a line of work: goroutines
// have none, and the same work may be done by several of them. Use it for a
// session that owns locks across contexts; for one context ContextWithOwner is
// enough. It is safe for use by several goroutines and must not be copied.
type Owner struct{ _ byte } // not empty: every owner needs an address of its own

type ownerKey struct{}

// NewOwner returns an owner that differs from any other.
func NewOwner() *Owner { return new(Owner) }

// Context returns a context, derived from ctx, that names this owner.
func (o *Owner) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, ownerKey{}, o)
}

// ContextWithOwner returns a context that names a new owner, different from
// any other. Whoever acquires with this context, or one derived from it, in
// whatever goroutine, is that owner.
func ContextWithOwner(ctx context.Context) context.Context { return NewOwner().Context(ctx) }

// ContextWithoutOwner returns a context that names no owner, for work that was
// started by an owner but is not to share its locks.
func ContextWithoutOwner(ctx context.Context) context.Context {
	return context.WithValue(ctx, ownerKey{}, (*Owner)(nil))
}

func ownerOf(ctx context.Context) *Owner {
	o, _ := ctx.Value(ownerKey{}).(*Owner)
	return o
}

// grant is one passage through the queue: from the attempt, over the holds that
// share it, to its release.
type grant struct {
	try       bool
	owner     *Owner // nil: nobody is named
	reentrant bool
	line      *local.Line
	cfg       *passage.Config
	passage   turn.Passage // nil until granted

	settled chan struct{} // closed once passage is final; nil without an owner
	holds   int           // guarded by owners.mu

	seen *turn.Report // what stood in the way when an attempt failed
}

// owners are those who hold one path's lock in this process, or try to.
type owners struct {
	mu     sync.Mutex
	grants map[*Owner][]*grant
}

// claim returns the grant for an acquisition: the owner's own, with one hold
// more, or a new one that has yet to go through the queue.
func (os *owners) claim(ctx context.Context, g *grant) (*grant, error) {
	if g.owner == nil {
		return g, nil
	}
	for {
		current, err := os.claimNow(g)
		if current != nil || err != nil {
			return current, err
		}
		waitsFor := os.ofOwner(g.owner)
		if waitsFor == nil {
			continue
		}
		select {
		case <-waitsFor.settled:
		case <-ctx.Done():
			g.saw(waitsFor.line.Report(0))
			return nil, ctx.Err()
		}
	}
}

// claimNow is claim without waiting: it returns nil if it depends on how the
// attempt ends that the owner makes in another goroutine.
func (os *owners) claimNow(g *grant) (*grant, error) {
	os.mu.Lock()
	defer os.mu.Unlock()
	current := os.current(g.owner)
	if current == nil {
		return os.register(g), nil
	}
	if current.passage == nil {
		switch {
		case g.try:
			g.saw(current.line.Report(1))
			return nil, turn.ErrBusy
		case !g.reentrant:
			// This one is not to share the lock with the other goroutine, and
			// gets in line by itself.
			return os.register(g), nil
		default:
			return nil, nil
		}
	}
	switch {
	case current.passage.Lost():
		return nil, ErrLost
	case g.reentrant:
		current.holds++
		return current, nil
	case g.try:
		g.saw(current.passage.Report())
		g.seen.Ahead++
		return nil, turn.ErrBusy
	default:
		return nil, ErrDeadlock
	}
}

// register notes a new attempt of an owner. os.mu is held.
func (os *owners) register(g *grant) *grant {
	g.settled = make(chan struct{})
	os.grants[g.owner] = append(os.grants[g.owner], g)
	return g
}

// settle ends an attempt, with a passage or without.
func (os *owners) settle(g *grant, p turn.Passage) {
	if g.owner == nil { // nobody else knows of it
		g.passage, g.holds = p, 1
		return
	}
	os.mu.Lock()
	defer os.mu.Unlock()
	if g.passage = p; p != nil {
		g.holds = 1
	} else {
		os.forgetGrant(g)
	}
	close(g.settled)
}

func (os *owners) ofOwner(o *Owner) *grant {
	os.mu.Lock()
	defer os.mu.Unlock()
	return os.current(o)
}

// current returns the grant that the owner holds, or else one that it waits
// for, or nil. os.mu is held.
func (os *owners) current(o *Owner) (current *grant) {
	for _, g := range os.grants[o] {
		if current = g; g.passage != nil {
			break
		}
	}
	return current
}

// forgetGrant undoes that g was registered for its owner. os.mu is held.
func (os *owners) forgetGrant(g *grant) {
	rest := slices.DeleteFunc(os.grants[g.owner], func(h *grant) bool { return h == g })
	if len(rest) == 0 {
		delete(os.grants, g.owner)
		return
	}
	os.grants[g.owner] = rest
}

// release gives back one hold, and with the last one the turn.
func (os *owners) release(g *grant, batch time.Duration) error {
	if g.owner != nil && !os.lastHold(g) {
		if g.passage.Lost() {
			return ErrLost
		}
		return nil
	}
	return g.line.Release(g.passage, batch)
}

// lastHold takes one hold from a grant, and reports whether it was the last.
func (os *owners) lastHold(g *grant) bool {
	os.mu.Lock()
	defer os.mu.Unlock()
	if g.holds--; g.holds > 0 {
		return false
	}
	os.forgetGrant(g)
	return true
}

// The methods below make a grant a local.Attempt.

func (g *grant) New() turn.Passage { return passage.New(g.cfg) }

func (g *grant) Wait(ctx context.Context, p turn.Passage) error {
	var err error
	if g.try {
		err = p.Try(ctx)
	} else {
		err = p.Wait(ctx)
	}
	if err != nil {
		g.saw(p.Report())
	}
	return err
}

// Behind notes what a goroutine saw ahead of it that did not come to lead.
func (g *grant) Behind(front turn.Passage, goroutines int) {
	var r turn.Report
	if front != nil {
		r = front.Report()
	}
	r.Ahead += goroutines
	g.saw(r)
}

func (g *grant) saw(r turn.Report) { g.seen = &r }
