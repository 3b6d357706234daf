package passage

import (
	"io/fs"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/idle"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// place is a ticket, or after a restart another one, and its contender.
type place struct {
	dir       TicketDir
	contender queue.Contender
	doubted   bool // see rest.doubt: the next look lists
}

// rest is the place of a site that rests (R14), between one passage and the
// next.
//
// A timer that every passage sets anew would cost more than all else in it. So
// one asks, every half of the linger time, whether the place was used: it rests
// for the linger time at most, and for half of it at the least.
type rest struct {
	mu     sync.Mutex
	place  *place      // nil: there is none, or it is in use
	mode   fs.FileMode // of its ticket
	label  string      // of its ticket
	shared bool        // its kind
	timer  idle.Timer
	linger time.Duration // that the timer goes by
	listed bool          // among resting
	// doubt: the next one to come back looks for itself whether it is alone. An
	// overlay's times do not show what is changed below it, and a clock that steps
	// back may give a change the time of another.
	doubt bool
	// trust is until when there is no new doubt: where a listing takes long, as among
	// 100,000 files, another one in each linger time would be most of all that is done.
	trust time.Time
	// leaving is locked, with mu held, by those who then remove a place without it.
	leaving sync.Mutex
	// left is when the last passage ended that did not rest: only who comes back
	// within the linger time will rest, so that one use leaves nothing.
	left time.Time
	// skips is how many passages from now on are not to rest, and vain how many were
	// not to the last time: where two use a lock by turns, each would find the
	// other's ticket at rest, remove it, and not find its own.
	skips, vain int
}

// mostSkips is how many passages do without rest at the most.
const mostSkips = 63

// mayRest reports whether tickets of this lock may rest at all.
func (c *Config) mayRest() bool { return c.Linger > 0 && c.Lease == 0 && !c.PlainPeers }

// lingers reports whether a passage that begins now may rest when it ends.
func (s *Site) lingers(linger time.Duration, now time.Time) bool {
	s.rest.mu.Lock()
	defer s.rest.mu.Unlock()
	if s.rest.left.IsZero() || now.Sub(s.rest.left) > linger {
		return false
	}
	if s.rest.skips > 0 {
		s.rest.skips--
		return false
	}
	return resting.spare()
}

// restedInVain notes that a ticket was gone when its owner came back.
func (s *Site) restedInVain() {
	s.rest.mu.Lock()
	defer s.rest.mu.Unlock()
	s.rest.vain = min(2*s.rest.vain+1, mostSkips)
	s.rest.skips = s.rest.vain
}

// leftAt notes that a passage ended that did not rest.
func (s *Site) leftAt(now time.Time) {
	s.rest.mu.Lock()
	defer s.rest.mu.Unlock()
	s.rest.left = now
}

// comeBack returns the resting place, or nil if there is none for a lock like
// this. A ticket's name tells its kind, so that one of the other kind serves nobody
// now: it is to be removed first, since it would only be in the way.
func (s *Site) comeBack(cfg *Config) (pl, unfit *place) {
	if !cfg.mayRest() {
		return nil, nil
	}
	s.rest.mu.Lock()
	pl, doubt, shared := s.rest.place, s.rest.doubt, s.rest.shared
	if pl != nil && (s.rest.mode != cfg.Queue.Mode || s.rest.label != cfg.Queue.Label) {
		pl = nil // it is removed as anybody else's would be
	}
	if pl != nil {
		s.rest.place, s.rest.doubt = nil, false
	}
	s.rest.mu.Unlock()
	if pl != nil && shared != cfg.Queue.Shared {
		s.restedInVain()
		return nil, pl
	}
	if pl != nil && doubt {
		pl.doubted = true
		pl.contender.Doubt()
	}
	return pl, nil
}

// doubtThrift is how many times as long as a look took that was for doubt there is no
// other one.
const doubtThrift = 20

// lookedAgain notes how long it took to look for doubt.
func (s *Site) lookedAgain(took time.Duration) {
	s.rest.mu.Lock()
	defer s.rest.mu.Unlock()
	s.rest.doubt, s.rest.trust = false, time.Now().Add(doubtThrift*took)
}

// keep has a place rest, one that was of use before, or not yet.
func (s *Site) keep(pl *place, cfg *Config, ofUse bool) {
	s.rest.mu.Lock()
	if ofUse {
		s.rest.vain = 0
	}
	old := s.rest.place
	s.rest.place, s.rest.mode, s.rest.label, s.rest.shared = pl, cfg.Queue.Mode, cfg.Queue.Label, cfg.Queue.Shared
	if s.rest.linger != cfg.Linger {
		s.rest.linger, s.rest.timer.Expire = cfg.Linger, s.expire
		s.rest.timer.Hurry(cfg.Linger / 2)
	}
	if !s.rest.listed {
		s.rest.listed = true
		resting.add(s)
	}
	s.rest.timer.Used()
	s.rest.mu.Unlock()
	if old != nil { // of a lock with another mode or label, or of readers beside these
		_ = old.leave()
	}
}

// expire gives up the place if nobody came back to it.
func (s *Site) expire() {
	s.rest.mu.Lock()
	s.rest.doubt = s.rest.doubt || !time.Now().Before(s.rest.trust)
	var old *place
	if s.rest.timer.Over(s.rest.place == nil) {
		old, s.rest.place = s.rest.place, nil
	}
	if !s.rest.timer.Set() {
		s.unlist()
	}
	s.rest.leaving.Lock()
	defer s.rest.leaving.Unlock()
	s.rest.mu.Unlock()
	if old != nil {
		_ = old.leave()
	}
}

// unlist takes s from those that may have a place at rest. s.rest.mu is held.
func (s *Site) unlist() {
	s.rest.listed = false
	resting.remove(s)
}

// GiveUp removes the ticket that rests, if any. If that fails it is tried again
// in the background.
func (s *Site) GiveUp() (err error) {
	s.rest.mu.Lock()
	old := s.rest.place
	s.rest.place, s.rest.left = nil, time.Time{}
	s.rest.timer.Stop()
	s.unlist()
	s.rest.mu.Unlock()
	if old != nil {
		err = old.leave()
	}
	s.rest.leaving.Lock() // whoever was before us is done then
	defer s.rest.leaving.Unlock()
	return err
}

// sacrifice gives up the place for its descriptors.
func (s *Site) sacrifice() (some bool) {
	s.rest.mu.Lock()
	old := s.rest.place
	s.rest.place = nil
	s.rest.leaving.Lock()
	defer s.rest.leaving.Unlock()
	s.rest.mu.Unlock()
	if old != nil {
		_ = old.leave()
	}
	return old != nil
}

// maxResting is how many sites may have a ticket that rests: each is an open
// file.
const maxResting = 256

// resting are the sites that have a place at rest, or had one a moment ago.
var resting = &resters{sites: map[*Site]bool{}}

type resters struct {
	mu    sync.Mutex
	sites map[*Site]bool
}

func init() { ticketdir.Spare = resting.giveUp }

func (r *resters) spare() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sites) < maxResting
}

func (r *resters) add(s *Site) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sites[s] = true
}

func (r *resters) remove(s *Site) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sites, s)
}

// giveUp ends all rest, when there is no descriptor left.
func (r *resters) giveUp() (some bool) {
	r.mu.Lock()
	sites := make([]*Site, 0, len(r.sites))
	for s := range r.sites {
		sites = append(sites, s)
	}
	r.mu.Unlock()
	for _, s := range sites {
		some = s.sacrifice() || some
	}
	return some
}
