package filelock

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/enginepassage"
	"github.com/filelock-go/filelock/internal/flockpeer"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/waitfor"
)

// An Owner is an identity that the caller gives to a line of work: goroutines
// have none, and the same work may be done by several of them. Use it for a
// session that owns locks across contexts; for one context ContextWithOwner is
// enough. It is safe for use by several goroutines and must not be copied.
type Owner struct {
	mu     sync.Mutex
	grants []*grant  // what it holds, or tries to take, of all queues
	room   [1]*grant // for grants: most have one
}

type ownerKey struct{}

// ownerContext is a context that names an owner of its own; with Owner.Context
// they would be two.
type ownerContext struct {
	context.Context
	owner Owner
}

func (c *ownerContext) Value(key any) any {
	if key == (ownerKey{}) {
		return &c.owner
	}
	return c.Context.Value(key)
}

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
	batch     time.Duration
	nameless  bool // nobody is named, nor will be
	line      *line
	peers     *flockpeer.File // nil: there are none
	cfg       *passage.Config
	engine    *enginepassage.Config // nil: the queue is a directory's
	passage   turn.Passage          // nil until granted
	token     uint64                // for fencing; 0: none

	// Guarded by owner.mu, if there is an owner.
	holds   int
	settled chan struct{} // closed once passage is final; nil if nobody waits for that

	seen   *turn.Report // what stood in the way when an attempt failed
	circle string       // what its wait was found to be part of; guarded by the line's mutex while it waits
	notice *notice      // of an attempt whose caller wants to see it wait; nil: it does not
}

// adopt makes o, whom nobody knows yet, the owner of what is granted.
func (g *grant) adopt(o *Owner) {
	g.owner = o
	o.register(g)
}

// claim returns the grant for an acquisition: the owner's own, with one hold
// more, or g itself, which has yet to go through the queue.
func (g *grant) claim(ctx context.Context) (*grant, error) {
	if g.owner == nil {
		return g, nil // nobody else knows of it
	}
	for {
		current, settled, err := g.claimNow()
		if settled == nil {
			return current, err
		}
		g.notice.begin()
		select {
		case <-settled:
		case <-ctx.Done():
			g.saw(g.line.Report(0))
			return nil, ctx.Err()
		}
	}
}

// claimNow is claim without waiting. If it depends on how an attempt ends that
// the owner makes in another goroutine, it returns what is closed then.
func (g *grant) claimNow() (current *grant, settled <-chan struct{}, err error) {
	o := g.owner
	o.mu.Lock()
	defer o.mu.Unlock()
	current = o.current(g.cfg.Site)
	if current == nil {
		g.notice.follow(g.line, g)
		return o.register(g), nil, nil
	}
	if current.passage == nil {
		switch {
		case g.try:
			g.saw(current.line.Report(1))
			return nil, nil, turn.ErrBusy
		case !g.reentrant:
			// This one is not to share the lock with the other goroutine, and
			// gets in line by itself.
			return o.register(g), nil, nil
		}
		if current.settled == nil {
			current.settled = make(chan struct{})
		}
		g.notice.follow(current.line, current) // it gets in when that one does
		return nil, current.settled, nil
	}
	if current.passage.Lost() {
		return nil, nil, ErrLost
	}
	if err = current.again(g.reentrant, g.cfg, g.peers); err == nil {
		current.holds++
		return current, nil, nil
	}
	if g.try {
		g.saw(current.passage.Report())
		g.seen.Ahead++
		err = turn.ErrBusy
	}
	return nil, nil, err
}

// again returns nil if another acquisition by the owner that holds g is one hold more of
// it, or why that is refused. What excludes more than the acquisition would serves it,
// and what excludes less does not: it would be told that it excludes those whom it does
// not.
func (g *grant) again(reentrant bool, cfg *passage.Config, peers *flockpeer.File) error {
	switch {
	case g.Shared() && !cfg.Queue.Shared:
		return errUpgrade
	case !reentrant:
		return ErrDeadlock
	case peers != nil && peers != g.peers:
		return errNoFlock
	case cfg.PlainPeers && !g.cfg.PlainPeers:
		return errNotSunk
	default:
		return nil
	}
}

// current returns the grant that the owner holds of one queue, or else the first
// that it waits for, or nil. o.mu is held.
func (o *Owner) current(queue *passage.Site) (current *grant) {
	for _, g := range o.grants {
		switch {
		case g.cfg.Site != queue:
		case g.passage != nil:
			return g
		case current == nil:
			current = g // who came first comes in first
		}
	}
	return current
}

// refuses returns why an acquisition through l fails by what o holds, as far as it knows,
// or nil. A nil owner holds nothing.
func (o *Owner) refuses(l *FileLock, shared bool) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.current(&l.site.passages)
	if g == nil || g.passage == nil || g.passage.Lost() {
		return nil
	}
	return g.again(l.cfg.reentrant, l.passages(shared), l.peers)
}

// queues returns the queues whose locks o holds.
func (o *Owner) queues() (held []waitfor.Queue) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range o.grants {
		if g.passage != nil {
			held = append(held, waitfor.Queue{Dir: g.cfg.Queue.Dir, Prefix: g.cfg.Queue.Prefix})
		}
	}
	return held
}

// register notes a new attempt. o.mu is held.
func (o *Owner) register(g *grant) *grant {
	if o.grants == nil {
		o.grants = o.room[:0]
	}
	o.grants = append(o.grants, g)
	return g
}

// forget undoes register. o.mu is held.
func (o *Owner) forget(g *grant) {
	i := slices.Index(o.grants, g)
	o.grants = slices.Delete(o.grants, i, i+1)
}

// settle ends an attempt, with a passage or without.
func (g *grant) settle(p turn.Passage) {
	if g.owner == nil {
		if g.passage, g.holds = p, 1; p != nil {
			g.begins()
		}
		return
	}
	g.owner.mu.Lock()
	defer g.owner.mu.Unlock()
	if g.passage = p; p != nil {
		g.holds = 1
		g.begins()
	} else {
		g.owner.forget(g)
	}
	if g.settled != nil {
		close(g.settled)
	}
}

// release gives back one hold, and with the last one the turn. Then nobody knows of
// the grant any more.
func (g *grant) release() (last bool, err error) {
	if g.owner != nil && !g.lastHold() {
		if g.passage.Lost() {
			return false, ErrLost
		}
		return false, nil
	}
	g.ends()
	return true, g.line.Release(g.passage, g.batch)
}

// begins counts a turn that can be seen to be held, or else a look that begins just then
// would have no other one made. ends counts it no more.
func (g *grant) begins() {
	if g.nameless {
		g.line.nameless.Add(1)
	}
	deadlocks.begins()
}

func (g *grant) ends() {
	deadlocks.ends()
	if g.nameless {
		g.line.nameless.Add(-1)
	}
}

// lastHold takes one hold from the grant, and reports whether it was the last.
func (g *grant) lastHold() bool {
	g.owner.mu.Lock()
	defer g.owner.mu.Unlock()
	if g.holds--; g.holds > 0 {
		return false
	}
	g.owner.forget(g)
	return true
}

// The methods below make a grant a local.Attempt.

func (g *grant) Shared() bool { return g.cfg.Queue.Shared }

func (g *grant) Batch() time.Duration { return g.batch }

func (g *grant) New() turn.Passage {
	if g.engine != nil {
		return enginepassage.New(g.engine, g.Shared(), g.try)
	}
	p := passage.New(g.cfg)
	if g.peers == nil {
		return p
	}
	kind := flockpeer.Exclusive
	if g.Shared() {
		kind = flockpeer.Shared
	}
	return g.peers.Through(p, kind, g.cfg.Observe)
}

func (g *grant) Wait(ctx context.Context, p turn.Passage) error {
	var err error
	switch {
	case g.try:
		err = p.Try(ctx)
	case g.notice != nil:
		err = g.waitSeen(ctx, p)
	default:
		err = p.Wait(ctx)
	}
	if err != nil {
		g.saw(p.Report())
	}
	return err
}

func (g *grant) waitSeen(ctx context.Context, p turn.Passage) error {
	if o, ok := p.(turn.Observable); ok {
		o.OnWait(g.notice.begin)
		defer o.OnWait(nil) // others may wait there next
	}
	return p.Wait(ctx)
}

func (g *grant) Queued() {
	deadlocks.arm()
	g.notice.begin()
}

// Behind notes what a goroutine saw ahead of it that did not come to lead.
func (g *grant) Behind(front turn.Passage, goroutines int) {
	var r turn.Report
	if front != nil {
		r = front.Report().For(g.Shared())
	}
	r.Ahead += goroutines
	g.saw(r)
}

func (g *grant) saw(r turn.Report) { g.seen = &r }
