package filelock

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// owner is an identity that the caller gives to a line of work. It is the
// caller's to give: goroutines have none, and the same work may be done by
// several of them.
type owner struct{ _ byte } // not empty: every owner needs an address of its own

type ownerKey struct{}

// ContextWithOwner returns a context that names a new owner, different from
// any other. Whoever acquires with this context, or one derived from it, in
// whatever goroutine, is that owner.
func ContextWithOwner(ctx context.Context) context.Context {
	return context.WithValue(ctx, ownerKey{}, new(owner))
}

// ContextWithoutOwner returns a context that names no owner, for work that was
// started by an owner but is not to share its locks.
func ContextWithoutOwner(ctx context.Context) context.Context {
	return context.WithValue(ctx, ownerKey{}, (*owner)(nil))
}

func ownerOf(ctx context.Context) *owner {
	o, _ := ctx.Value(ownerKey{}).(*owner)
	return o
}

// site is what the FileLocks of one path in this process share: who of this
// process holds it, by owner, and the lines in which its goroutines wait.
type site struct {
	mu     sync.Mutex
	owners map[*owner][]*grant // held or attempted
	lines  map[lineKey]*local.Line
}

// lineKey tells apart the lines of one path: the tickets of those who wait in
// one line must mean the same to other processes.
type lineKey struct {
	lease      time.Duration
	plainPeers bool
}

// sites holds the sites of all living FileLocks.
var sites = struct {
	mu    sync.Mutex
	known map[string]weak.Pointer[site]
}{known: map[string]weak.Pointer[site]{}}

func siteOf(q ticketdir.Queue) *site {
	key := q.Dir + "\x00" + q.Prefix
	sites.mu.Lock()
	defer sites.mu.Unlock()
	if s := sites.known[key].Value(); s != nil {
		return s
	}
	s := &site{owners: map[*owner][]*grant{}, lines: map[lineKey]*local.Line{}}
	sites.known[key] = weak.Make(s)
	runtime.AddCleanup(s, forget, key)
	return s
}

// forget drops the entry of a site that is no more, unless a new one took it.
func forget(key string) {
	sites.mu.Lock()
	defer sites.mu.Unlock()
	if sites.known[key].Value() == nil {
		delete(sites.known, key)
	}
}

func (s *site) line(k lineKey) *local.Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines[k] == nil {
		s.lines[k] = new(local.Line)
	}
	return s.lines[k]
}

// grant is one passage through the queue: from the attempt, over the holds that
// share it, to its release.
type grant struct {
	hold  hold      // of the attempt
	lock  *FileLock // that attempted
	try   bool
	owner *owner
	line  *local.Line
	place *place // nil until granted

	settled chan struct{} // closed once place is final; nil without an owner
	holds   int           // guarded by site.mu

	// What stood in the way when an attempt failed.
	first queue.Ticket
	ahead int
}

// claim returns the grant for an acquisition: the owner's own, with one hold
// more, or a new one that has yet to go through the queue.
func (s *site) claim(ctx context.Context, g *grant) (*grant, error) {
	if g.owner == nil {
		return g, nil
	}
	for {
		s.mu.Lock()
		had := s.ofOwner(g.owner)
		switch held := had != nil && had.place != nil; {
		case had == nil, !held && !g.lock.cfg.reentrant && !g.try:
			// Nobody, or one who waits in another goroutine: this one is not
			// to share the lock with that one, and gets in line by itself.
			g.settled = make(chan struct{})
			s.owners[g.owner] = append(s.owners[g.owner], g)
			s.mu.Unlock()
			return g, nil
		case held && had.place.Lost():
			s.mu.Unlock()
			return nil, ErrLost
		case held && g.lock.cfg.reentrant:
			had.holds++
			s.mu.Unlock()
			return had, nil
		case held && !g.try:
			s.mu.Unlock()
			return nil, ErrDeadlock
		case g.try:
			if held {
				g.first, g.ahead = had.place.report()
				g.ahead++
			}
			s.mu.Unlock()
			return nil, queue.ErrBusy
		}
		s.mu.Unlock()
		select {
		case <-had.settled:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// settle ends an attempt, with a place or without.
func (s *site) settle(g *grant, p *place) {
	if g.owner == nil { // nobody else knows of it
		g.place, g.holds = p, 1
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.place = p; p != nil {
		g.holds = 1
	}
	if p == nil {
		s.forgetGrant(g)
	}
	close(g.settled)
}

// ofOwner returns the grant that the owner holds, or else one that it waits
// for, or nil. s.mu is held.
func (s *site) ofOwner(o *owner) (had *grant) {
	for _, g := range s.owners[o] {
		if had = g; g.place != nil {
			break
		}
	}
	return had
}

// forgetGrant undoes that g was registered for its owner. s.mu is held.
func (s *site) forgetGrant(g *grant) {
	rest := slices.DeleteFunc(s.owners[g.owner], func(h *grant) bool { return h == g })
	if len(rest) == 0 {
		delete(s.owners, g.owner)
		return
	}
	s.owners[g.owner] = rest
}

// release gives back one hold, and with the last one the place. held reports
// that this failed, so that the hold remains.
func (s *site) release(g *grant, batch time.Duration) (held bool, err error) {
	if g.owner == nil {
		return g.line.Release(g.place, batch)
	}
	s.mu.Lock()
	if g.holds--; g.holds > 0 {
		s.mu.Unlock()
		if g.place.Lost() {
			return false, ErrLost
		}
		return false, nil
	}
	s.forgetGrant(g)
	s.mu.Unlock()
	if held, err = g.line.Release(g.place, batch); !held {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.holds++
	s.owners[g.owner] = append(s.owners[g.owner], g)
	return true, err
}

// The methods below make a grant a local.Attempt.

func (g *grant) New() local.Place { return g.lock.newPlace() }

func (g *grant) Wait(ctx context.Context, at local.Place) error {
	p := at.(*place)
	var err error
	if g.try {
		err = p.tryEnter(ctx)
	} else {
		err = p.enter(ctx)
	}
	if err != nil {
		g.first, g.ahead = p.report()
	}
	return err
}

// Behind notes what a goroutine saw ahead of it that did not come to lead.
func (g *grant) Behind(front local.Place, goroutines int) {
	if front != nil {
		g.first, g.ahead = front.(*place).report()
	}
	g.ahead += goroutines
}
