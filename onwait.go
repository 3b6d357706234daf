package filelock

import (
	"fmt"
	"time"

	"github.com/filelock-go/filelock/internal/ticket"
)

// A Wait is what one acquisition waits for, as it was a moment ago.
type Wait struct {
	Path  string    `json:"path"`  // the target
	Since time.Time `json:"since"` // since when the acquisition lasts
	// Position is the own place in the queue: 1 is the holder's, and 2 is next. It is
	// Ahead + 1.
	Position int `json:"position"`
	// Ahead is how many contenders are ahead, the holder included, as in BusyError:
	// goroutines of this process count one each, and other processes one each. Those
	// that are inside together by one ticket count as one; and of one who would share
	// the lock only those are ahead who would not, so that readers that will come in
	// together have the same position. It falls as the queue moves on; where goroutines
	// of this process wait behind each other it may grow, since the process gets in line
	// again after a batch (see WithBatch), and where a reader was before a writer.
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
		ticket.Quote(w.Path), w.Holder.inTheWay("nobody is known to be inside", false), w.Ahead, w.Since.Format(stamp(w.Since)))
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
// changed, or the wait is found to be part of a circle. It is for showing people what they
// wait for, and for giving up with good reason: f may cancel the acquisition's context. The
// default is nobody. TryLock and TryAcquire do not wait, and an acquisition that need not
// wait makes no call.
//
// The calls of one acquisition come one after another, from goroutines of their own;
// those of several acquisitions may come at the same time. The queue is looked at for
// this at the poll interval, or each second if that is shorter or other machines take
// part, and once for all goroutines that wait in one line, at the shortest interval of
// theirs. What changes more than once in between is told once, as it is then, and a wait
// that is over within milliseconds may be told to nobody. What lasts is told, also if it
// happened during a call.
//
// Nobody waits for f: while it sleeps, the acquisition goes on, and may return, and f is
// not called meanwhile. So a call that has begun may still go on when the acquisition
// has returned, or be at its first line only, but no other begins. Who must know when the
// last one has ended, to free what f uses, say, has f take a mutex and look whether it is
// still wanted; the example shows it. f may use the lock like anybody else.
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
