package filelock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/turn"
)

// Errors of construction.
var (
	// ErrInvalid is matched by the errors for unusable arguments: an empty
	// path, a path that is a directory, an option out of range, a nil context.
	ErrInvalid = errors.New("invalid argument")
)

// Errors of acquisition.
var (
	// ErrLocked is matched by the error of TryLock and TryAcquire when
	// another contender holds the lock or is in the queue.
	ErrLocked = errors.New("the lock is busy")
	// ErrTimeout is matched when the time set by WithTimeout ran out. That
	// error matches context.DeadlineExceeded too.
	ErrTimeout = errors.New("timeout")
	// ErrDeadlock is matched when the owner named by the context already
	// holds the path's lock, and this FileLock is not reentrant, or what it holds
	// is shared and it wants it for itself, or excludes fewer than this FileLock
	// is to exclude (WithFlockPeers, WithPlainPeers).
	ErrDeadlock = errors.New("this owner already holds the lock")
	// ErrNoOwner is matched when a reentrant lock is acquired with a context
	// that names no owner, see ContextWithOwner.
	ErrNoOwner = errors.New("the context names no owner")
)

// Errors of a held lock.
var (
	// ErrNotLocked is matched when what is not held is released.
	ErrNotLocked = errors.New("not locked")
	// ErrLost is matched when the lock's ticket was removed or changed by
	// somebody else, so that another may have entered.
	ErrLost = turn.ErrLost
)

// Errors of the filesystem.
var (
	// ErrUnanswered is matched when the filesystem did not answer in time, as
	// when a server is down. What was begun is finished, and cleaned up, in the
	// background.
	ErrUnanswered = turn.ErrUnanswered
)

// Error is an error of one operation on one lock. It matches what it wraps.
type Error struct {
	Op   string // "new", "acquire", "try", "acquire shared", "try shared", "release", "witness", "bequeath", "token", "place", "close", "inspect", "reap", "evict"
	Path string // the target; "" where it is no one's, as in AcquireAll with a nil context
	Err  error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("filelock: %s: %s", e.Op, textOf(e.Err))
	}
	return fmt.Sprintf("filelock: %s %s: %s", e.Op, ticket.Quote(e.Path), textOf(e.Err))
}

func (e *Error) Unwrap() error { return e.Err }

// BusyError is the error of every acquisition that failed because somebody is
// ahead. It matches ErrLocked if the acquisition did not want to wait;
// ErrTimeout and context.DeadlineExceeded if WithTimeout ended it; else the
// context's error and its cause.
type BusyError struct {
	Op   string // "acquire", "try", "acquire shared" or "try shared"
	Path string // the target
	// Holder is the holder or, if nobody is known to be inside, the first in the
	// queue; see its State. Of several who share the lock it is one. Of what keeps out
	// one who would share it, it is the first that is exclusive, which may wait for
	// readers itself. Its Path is "" if nobody was there at a second look. Its
	// process is looked up as by Inspect, so that nobody need inspect the queue to tell a
	// user whom to ask.
	Holder Ticket
	// Ahead is how many contenders were ahead, the holder included, as far as
	// was known when the acquisition took its place or last looked. Goroutines
	// of this process count one each, but those that are inside by one ticket. Of one
	// who would share the lock, only those were ahead who would not.
	Ahead  int
	Waited time.Duration // AcquireAll: for all the locks together
	// Deadlock says which circle the wait was part of, as in "may be a deadlock: pid 12
	// waits for /a, which pid 11 holds while it waits for /b, which pid 12 holds", or is
	// "". Circles among processes of this machine, and among named owners of this
	// process, are found within two seconds. Among processes it only may be a deadlock:
	// each of them holds what another one waits for, but perhaps in another goroutine.
	Deadlock string
	Err      error // why the acquisition gave up

	shared bool // what was to be acquired
}

func (e *BusyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "filelock: %s: %s, %d ahead; ", ticket.Quote(e.Path), e.Holder.inTheWay("just released", e.shared), e.Ahead)
	if e.Deadlock != "" {
		b.WriteString(e.Deadlock + "; ")
	}
	if errors.Is(e.Err, ErrLocked) {
		b.WriteString(textOf(e.Err))
	} else {
		fmt.Fprintf(&b, "gave up after %v: %s", roundWait(e.Waited), textOf(e.Err))
	}
	return b.String()
}

func (e *BusyError) Unwrap() error { return e.Err }

// MarshalJSON writes the fields, and the reason as text.
func (e *BusyError) MarshalJSON() ([]byte, error) {
	fields := map[string]any{
		"op": e.Op, "path": e.Path, "holder": e.Holder, "ahead": e.Ahead,
		"waited": e.Waited.String(), "error": textOf(e.Err),
	}
	if e.Deadlock != "" {
		fields["deadlock"] = e.Deadlock
	}
	return json.Marshal(fields)
}

// LogValue is for log/slog.
func (e *BusyError) LogValue() slog.Value {
	fields := []slog.Attr{
		slog.String("op", e.Op), slog.String("path", e.Path), slog.String("holder", e.Holder.String()),
		slog.Int("ahead", e.Ahead), slog.Duration("waited", e.Waited), slog.String("error", textOf(e.Err)),
	}
	if e.Deadlock != "" {
		fields = append(fields, slog.String("deadlock", e.Deadlock))
	}
	return slog.GroupValue(fields...)
}

// textOf is an error's message as a part of another one; nil has none. The
// system's errors have paths as they are.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return ticket.Escape(err.Error())
}

// roundWait makes a duration short to read: three digits or so.
func roundWait(d time.Duration) time.Duration {
	for unit := time.Second; unit > time.Nanosecond; unit /= 10 {
		if d >= 100*unit {
			return d.Round(unit)
		}
	}
	return d
}

// errTimedOut matches ErrTimeout and context.DeadlineExceeded.
var errTimedOut = fmt.Errorf("%w (%w)", ErrTimeout, context.DeadlineExceeded)

var errNilContext = fmt.Errorf("%w: the context is nil", ErrInvalid)

var errUpgrade = fmt.Errorf("%w, shared, and would wait for itself to have it exclusively: release it first", ErrDeadlock)

var (
	errNoFlock = fmt.Errorf("%w, without the flock that this FileLock takes as well (WithFlockPeers): release it first", ErrDeadlock)
	errNotSunk = fmt.Errorf("%w, in a way that does not exclude plain peers (WithPlainPeers): release it first", ErrDeadlock)
)

// explain puts what went wrong in the queue into the package's own terms.
func explain(err error) error {
	switch {
	case errors.Is(err, queue.ErrGone):
		return fmt.Errorf("%w: %w; somebody removes or locks the tickets of the living", ErrLost, err)
	case errors.Is(err, queue.ErrMoved):
		return fmt.Errorf("%w: %w; somebody changes the tickets' times", ErrLost, err)
	case errors.Is(err, queue.ErrTop):
		return fmt.Errorf("%w: its modification time is the last that this filesystem can store; remove it once its owner is known to be gone", err)
	default:
		return err
	}
}

// reason returns why a wait ended early: the context's error, with its cause
// where that says more.
func reason(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	if errors.Is(cause, err) {
		return cause
	}
	if errors.Is(cause, ErrTimeout) {
		return errTimedOut
	}
	if lost := (*lostMeanwhile)(nil); errors.As(cause, &lost) {
		return lost // the caller's context goes on
	}
	return &waitEnded{err: err, cause: cause}
}

// waitEnded matches a context's error and its cause.
type waitEnded struct{ err, cause error }

func (e *waitEnded) Error() string { return fmt.Sprintf("%v: %v", e.err, e.cause) }

func (e *waitEnded) Unwrap() []error { return []error{e.err, e.cause} }
