package filelock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/local"
)

const (
	// longestLook is how long it takes at most until the queue is looked at again.
	longestLook = time.Second
	// mostBlind is how many looks in a row may fail to see anybody ahead: the line's next
	// leader is about to get its ticket, or the turn to come. After that the waiter is told
	// what it has seen itself.
	mostBlind = 20
)

// notice tells the caller of one acquisition of its wait, as its line's lookout sees it.
//
// What lasts until it can be told is told: a wait is with the lookout from its beginning, and
// each look is held against what was told last, not against the look before. So
// nothing is lost that happens between a look and the call it leads to, or during that, and
// what ends in between is not told. That holds for a wait itself, too: one that is over
// before f could be called is over.
type notice struct {
	f      func(Wait)
	cancel context.CancelCauseFunc // of the acquisition
	path   string
	since  time.Time
	pause  time.Duration // between looks

	mu       sync.Mutex
	line     *line
	attempt  local.Attempt // to be looked for in line: no more than its address is used
	lookout  *lookout      // that of line; nil: no wait has begun, or all are over
	over     bool          // no call is to begin any more
	panicked *any          // what f panicked with

	calling bool // a call of f has begun, and has not returned
	told    bool
	last    Wait // what was told
	doubt   bool // the last look saw a change that is told if it lasts
	blind   int  // looks in a row that saw nobody ahead
}

// errPanicked ends an acquisition that is going to panic.
var errPanicked = errors.New("filelock: the function of WithOnWait panicked")

// acquireTold is acquire for a lock with WithOnWait.
func (l *FileLock) acquireTold(ctx context.Context, r request) (h *hold, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.notice = &notice{
		f: l.cfg.onWait, cancel: cancel, path: l.path, since: time.Now(), pause: min(l.cfg.poll, longestLook),
	}
	defer func() {
		panicked := r.notice.end()
		if panicked == nil {
			return
		}
		if h != nil {
			_, _ = l.take(h) // the panic says more
		}
		panic(*panicked)
	}()
	return l.pass(ctx, r)
}

// follow has the notice tell where an attempt stands from now on.
func (n *notice) follow(line *line, a local.Attempt) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.line, n.attempt = line, a
	if n.lookout != nil && n.lookout.line != line {
		n.lookout.leave(n)
		n.lookout = lookoutOf(line, n)
	}
}

// begin is called whenever the acquisition has to wait.
func (n *notice) begin() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lookout == nil && !n.over {
		n.lookout = lookoutOf(n.line, n)
	}
}

// end is called when the acquisition is over, and returns what f panicked with.
func (n *notice) end() (panicked *any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = true
	if n.lookout != nil {
		n.lookout.leave(n)
		n.lookout = nil
	}
	return n.panicked
}

// open reports whether another call may begin.
func (n *notice) open() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.over
}

// lookedFor returns the attempt that a look is to find, and whether it is for this notice:
// what changes during a call is told by a look that begins after it.
func (n *notice) lookedFor() (a local.Attempt, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.attempt, !n.calling
}

// looked notes whether a look saw anybody ahead. If not, it reports whether to look again
// before anything is told.
func (n *notice) looked(saw bool) (again bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.blind++; saw {
		n.blind = 0
	}
	return !saw && n.blind <= mostBlind
}

// see has f called with what a lookout has learnt, if that is news. known is whether it
// says who is ahead: what does not is told only to one who was told nothing yet. It reports
// whether to look again soon.
func (n *notice) see(from *lookout, w Wait, known bool) (again bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over || n.lookout != from || n.told && !known {
		return false
	}
	w.Path, w.Since, w.Position = n.path, n.since, w.Ahead+1
	changed := w.changed(&n.last)
	// A verdict that changes alone may be of one who is leaving, between two calls: that is
	// told if it lasts.
	if n.doubt = n.told && changed && !n.doubt && !w.moved(&n.last); n.doubt {
		return true
	}
	if !n.told || changed {
		n.told, n.last, n.calling = true, w, true
		go n.call(w)
	}
	return false
}

// call calls f. If that does not return, no other call begins.
func (n *notice) call(w Wait) {
	returned := false
	defer func() {
		if returned {
			n.mu.Lock()
			n.calling = false
			n.mu.Unlock()
			return
		}
		value := recover()
		if value == nil {
			return // the goroutine ends, as a test's does that has failed
		}
		n.mu.Lock()
		over := n.over
		n.panicked = &value
		n.mu.Unlock()
		if over {
			panic(value) // nobody is there to be told
		}
		n.cancel(errPanicked)
	}()
	if n.open() {
		n.f(w)
	}
	returned = true
}
