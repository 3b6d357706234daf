package filelock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/turn"
)

// A Wait is what one acquisition waits for, as it was a moment ago.
type Wait struct {
	Path  string    `json:"path"`  // the target
	Since time.Time `json:"since"` // since when the acquisition lasts
	// Position is the own place in the queue: 1 is the holder's, and 2 is next. It is
	// Ahead + 1.
	Position int `json:"position"`
	// Ahead is how many contenders are ahead, the holder included, as in BusyError:
	// goroutines of this process count one each, and other processes one each. It falls
	// as the queue moves on; where goroutines of this process wait behind each other it
	// may grow, since the process gets in line again after a batch (see WithBatch).
	Ahead int `json:"ahead"`
	// Holder is who is inside or, if nobody is known to be, the first in the queue: see
	// its State, Reason and Stopped. Its Path is "" while that is not known.
	Holder Ticket `json:"holder"`
	// Deadlock says which circle the wait is part of, as in BusyError, or is "".
	Deadlock string `json:"deadlock,omitempty"`
}

// String describes the wait in a few words, on one line.
func (w Wait) String() string {
	text := fmt.Sprintf("%s: %s, %d ahead; waits since %s",
		quote(w.Path), w.Holder.inTheWay("nobody is known to be inside", false), w.Ahead, w.Since.Format(stamp(w.Since)))
	if w.Deadlock != "" {
		text += "; " + w.Deadlock
	}
	return text
}

// moved reports whether the position or the one inside is another one than in last.
func (w *Wait) moved(last *Wait) bool {
	return w.Ahead != last.Ahead || w.Holder.Path != last.Holder.Path
}

// changed reports whether w tells something that last did not.
func (w *Wait) changed(last *Wait) bool {
	h, g := &w.Holder, &last.Holder
	if w.moved(last) || w.Deadlock != last.Deadlock || h.State != g.State || h.Stopped != g.Stopped || h.Heir != g.Heir {
		return true
	}
	// What takes time to prove has that time in its reason.
	return h.Reason != g.Reason && h.State != Dead && h.State != Stalled
}

// WithOnWait has f called when an acquisition through this lock has to wait, and then
// whenever the one inside, the own position, or what is known of the one inside has
// changed, or the wait is found to be part of a circle. It is for showing people what they wait for, and for giving up with good
// reason: f may cancel the acquisition's context. The default is nobody. TryLock and
// TryAcquire do not wait, and an acquisition that need not wait makes no call.
//
// The calls of one acquisition come one after another, from a goroutine of their own;
// those of several acquisitions may come at the same time. The queue is looked at for
// this at the poll interval, or each second if that is shorter or other machines take
// part; what changes more than once in between is told once, as it is then.
//
// Nobody waits for f: while it sleeps, the acquisition goes on, and may return, and f is
// not called meanwhile. So a call that has begun may still go on when the acquisition
// has returned, but no other begins. Who must know when the last one has ended, to free
// what f uses, say, has f take a mutex; the example shows it. f may use the lock like
// anybody else.
//
// If f panics, the acquisition is given up, and panics with the same value, holding
// nothing; or if it has returned already, the program ends as by any panic of a
// goroutine.
func WithOnWait(f func(Wait)) Option {
	return optionFunc(func(c *config) error {
		if f == nil {
			return fmt.Errorf("%w: the function is nil", ErrInvalid)
		}
		c.onWait = f
		return nil
	})
}

const (
	// longestLook is how long it takes at most until the queue is looked at again.
	longestLook = time.Second
	// While nobody can be seen to be ahead, the next look is due after blindPause: the
	// line's next leader is about to get its ticket, or the turn to come. After
	// mostBlind looks like that it is told what the waiter itself has seen.
	blindPause = time.Millisecond
	mostBlind  = 20
	// steadyLooks is how often a look is made again because the line has moved on
	// meanwhile.
	steadyLooks = 3
)

// notice tells the caller of one acquisition of its wait.
type notice struct {
	f      func(Wait)
	cancel context.CancelCauseFunc // of the acquisition
	path   string
	since  time.Time
	pause  time.Duration // between looks

	mu       sync.Mutex
	line     *line
	attempt  local.Attempt // to be looked for in line: no more than its address is used
	stop     chan struct{} // closed at the end; nil: no wait has begun
	over     bool          // no call is to begin any more
	panicked *any          // what f panicked with
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
}

// begin is called whenever the acquisition has to wait.
func (n *notice) begin() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stop == nil && !n.over {
		n.stop = make(chan struct{})
		go n.tell(n.stop)
	}
}

// end is called when the acquisition is over, and returns what f panicked with.
func (n *notice) end() (panicked *any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = true
	if n.stop != nil {
		close(n.stop)
	}
	return n.panicked
}

// open reports whether another call may begin.
func (n *notice) open() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.over
}

// tell calls f until the end.
func (n *notice) tell(stop <-chan struct{}) {
	var last Wait
	timer := time.NewTimer(0)
	defer timer.Stop()
	for told, doubt, blind := false, false, 0; ; {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		age := n.pause / 2
		if doubt {
			age = 0
		}
		r, known := n.look(age)
		if known {
			blind = 0
		} else if blind++; blind <= mostBlind {
			timer.Reset(blindPause)
			continue
		} else {
			r, known = n.remembered()
		}
		// Looks that see nothing tell no news.
		if known || !told {
			w := n.wait(r, &last)
			changed := w.changed(&last)
			// A verdict that changes alone may be of one who is leaving, between two
			// calls: that is told if it lasts.
			if doubt = told && changed && !doubt && !w.moved(&last); doubt {
				timer.Reset(blindPause)
				continue
			}
			if !told || changed {
				if !n.open() || !n.call(w) {
					return
				}
				last, told = w, true
			}
		}
		timer.Reset(n.pause)
	}
}

// look returns what is ahead of the acquisition now, or was within age.
func (n *notice) look(age time.Duration) (r turn.Report, known bool) {
	front, goroutines := n.standing()
	for range steadyLooks {
		o, ok := front.(turn.Observable)
		if !ok {
			break
		}
		r = o.Survey(age)
		r.Ahead += goroutines
		// The line may have moved on meanwhile, and its place be another one.
		was, before := front, goroutines
		if front, goroutines = n.standing(); front == was && goroutines == before {
			return r, r.Known && r.Ahead > 0
		}
	}
	return turn.Report{}, false
}

// remembered returns what is known without a look.
func (n *notice) remembered() (r turn.Report, known bool) {
	front, goroutines := n.standing()
	if front != nil {
		r = front.Report()
	}
	r.Ahead += goroutines
	return r, r.Known && r.Ahead > 0
}

func (n *notice) standing() (front turn.Passage, goroutines int) {
	n.mu.Lock()
	line, attempt := n.line, n.attempt
	n.mu.Unlock()
	return line.Ahead(attempt)
}

// circle returns what the wait was found to be part of.
func (n *notice) circle() (circle string) {
	n.mu.Lock()
	line, attempt := n.line, n.attempt
	n.mu.Unlock()
	line.Waits(func(a local.Attempt) {
		if a == attempt {
			circle = a.(*grant).circle
		}
	})
	return circle
}

// wait makes a Wait of a report; last is the one before.
func (n *notice) wait(r turn.Report, last *Wait) Wait {
	w := Wait{Path: n.path, Since: n.since, Ahead: r.Ahead, Position: r.Ahead + 1, Deadlock: n.circle()}
	if r.Known {
		w.Holder = newTicket(r.First)
		w.Holder.fillProcess(&last.Holder)
	}
	return w
}

// call calls f, and reports whether it returned.
func (n *notice) call(w Wait) (returned bool) {
	defer func() {
		if returned {
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
	n.f(w)
	return true
}
