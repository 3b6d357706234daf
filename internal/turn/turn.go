// Package turn is what the rest of the library knows of a queue between
// processes: one contender's passage through it, what is known of the others,
// and what happens on the way. No files show here: package passage implements
// it with tickets in a directory, and another kind of queue can do the same.
package turn

import (
	"context"
	"errors"
	"os"
	"time"
)

var (
	// ErrBusy is returned by Try when another contender is ahead.
	ErrBusy = errors.New("the lock is busy")
	// ErrLost is returned by Leave when the turn was lost while it was held.
	ErrLost = errors.New("the lock was lost")
	// ErrUnanswered is returned when a call was not answered in its time. What
	// was begun is finished, and cleaned up, in the background.
	ErrUnanswered = errors.New("the filesystem does not answer")
)

// A Passage is one contender's way through the queue: Join, then Wait or Try
// until it returns nil, then Leave. One goroutine at a time may use it; Lost,
// Losing and Report are safe at any time.
type Passage interface {
	// Join takes the place at the tail. On error there is none.
	Join(ctx context.Context) error
	// Wait returns nil when it is the contender's turn. When ctx is done it
	// returns ctx's error, at that moment.
	Wait(ctx context.Context) error
	// Try is Wait, but fails with ErrBusy as soon as it is certain that another
	// contender is ahead.
	Try(ctx context.Context) error
	// Resumable reports whether an error of Wait or Try left the place in the
	// queue, so that Wait may be called again.
	Resumable(err error) bool
	// Leave gives up the place, or the turn. Whatever it returns, the passage is
	// over: what could not be done is tried again in the background.
	Leave() error
	// Lost reports whether the turn is known to be lost.
	Lost() bool
	// Losing returns a channel that is closed when the turn is lost, or nil if
	// nothing watches for that.
	Losing() <-chan struct{}
	// Report says what is known of those ahead, without asking anybody.
	Report() Report
}

// Witnessed is a Passage whose turn can be passed on to other processes by an
// open file. Not every kind of queue has one.
type Witnessed interface {
	// Witness returns an open file that keeps the turn for as long as any
	// process has it open.
	Witness() (*os.File, error)
}

// Bequeather is a Passage whose turn can be left to those who have its witness. Not
// every kind of queue has one.
type Bequeather interface {
	Passage
	// Heritable returns nil, or why this turn cannot be left to anybody. It asks
	// nobody and does not change.
	Heritable() error
	// Bequeath is Leave, but the turn goes on until no process has the witness open
	// any more. The passage is over, whatever it returns.
	Bequeath() error
}

// Requeuer is a Passage whose turn can be exchanged for the place at the tail, in
// one step and without another passage. Not every kind of queue has one.
type Requeuer interface {
	// Requeue gives up the turn and takes the place at the tail, so that Wait is
	// next, and reports whether it did. If not, Leave is next.
	Requeue() bool
}

// Observable is a Passage whose wait can be seen while it lasts. Not every kind of
// queue has one.
type Observable interface {
	// OnWait has f called each time that Wait has to wait for another contender; nil
	// is nobody. It is for the goroutine that calls Wait, and f must not block.
	OnWait(f func())
	// Survey is Report, but looks who is ahead now, unless somebody has done so within
	// age. It says nothing where nobody can be seen to be ahead. It is safe at any time,
	// for several goroutines.
	Survey(age time.Duration) Report
}

// Standing is a Passage that can look whether its turn is still there. Not every
// kind of queue can.
type Standing interface {
	// Standing returns a function for while the turn is held, which looks whether it
	// is still the passage's, and fails with ErrLost if not. It may be called beside
	// the other methods, and after them, when nobody cares for the answer any more.
	Standing() func() error
}

// Prompt is a Passage that may know that its calls ask no server, which might not answer.
type Prompt interface {
	// Prompt reports whether it is so. It is safe at any time.
	Prompt() bool
}

// Report is what stood ahead at the last look.
type Report struct {
	First Contender // the first in the queue; it may be the passage's own
	Known bool      // whether First says anything
	Ahead int       // how many are ahead of the passage
	// Shared is how many of these share the turn with others of their kind: they are in
	// the way of the passage, and not of one that would share it and waits behind that.
	Shared int
}

// For returns the report as it is for one who waits behind the passage.
func (r Report) For(shared bool) Report {
	if shared {
		r.Ahead, r.Shared = r.Ahead-r.Shared, 0
	}
	return r
}

// State is what is known of a contender.
type State int

const (
	Unknown State = iota // it counts as alive
	Alive                // it waits, or cannot be told to be inside
	Inside               // it has the turn
	Resting              // it has left, and may come back; it is in nobody's way
	Stalled              // it lives, and does not take its turn
	Dead
)

// Contender is one in the queue.
type Contender struct {
	ID     string // where it can be found: of a ticket, the file's path
	Host   string
	PID    int
	Self   bool      // it is of this process
	Queued time.Time // since when it is in the queue
	Shared bool
	Lease  time.Duration
	Plain  bool // it follows the plain rule
	// FlockPeer: it is in no queue, but has a flock on the file ID. Its PID is 0 where
	// it cannot be seen.
	FlockPeer bool
	State     State
	Reason    string // why State is what it is
	Label     string // what its owner says of itself, "" if that is not known: any text

	// Marked: it may have been left to heirs, or rests, or did before. Touched is when
	// that, or anything else about it, last changed.
	Marked  bool
	Touched time.Time

	// Guarded: the kernel tells whether it has the turn, and keeps others from taking
	// its place away while it has.
	Guarded bool
	// Reachable: the pid means the same to this process. Start is the owner's.
	Reachable bool
	Start     uint64
}

// Step is a kind of event.
type Step int

const (
	Enqueued   Step = iota // took its place
	Waits                  // for Other
	Left                   // gave its place up; For is how long it waited
	Released               // gave its turn up; For is how long it had it
	Restarted              // its place was taken away; it starts anew, for Err
	Reclaimed              // removed Other from the queue, which is dead, stalled or at rest
	Skipped                // passed Other by, which could not be removed, for Err
	LostTurn               // lost its turn, for Err
	Abandoned              // could not leave, for Err; it is tried again
	Circular               // waits in a circle, which Circle says in words
	Bequeathed             // left its turn to heirs; For is how long it had it
)

// Event is a step of one passage.
type Event struct {
	Step   Step
	ID     string // of the passage
	Other  Contender
	Ahead  Report // of Waits: the first in the queue, and how many are ahead
	For    time.Duration
	Err    error
	Inside bool // it happened while the turn was held
	Circle string
}
