package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

// ErrInside is matched by the error of Evict for a ticket whose owner, or an heir,
// is inside, or may be: where the kernel does not tell who is inside (see
// Ticket.Guarded), whoever is known to live may be.
var ErrInside = errors.New("its owner holds the lock, or may")

// Evict removes one ticket, whatever the verdict on its owner, from the queue of
// path. It is for operators, who know of an owner what no evidence tells: that its
// machine is gone, say. ticket is the Path of a Ticket that Inspect returned, or
// that path's last element. It returns the ticket as it was.
//
// It never takes the lock from who holds it. Of a ticket that is Guarded the
// kernel tells whether its owner is inside, and keeps it outside during the
// removal: if Evict succeeds, the owner was not inside and cannot get inside with
// that ticket any more. An owner that waits loses its place, and starts anew at
// the tail. Of one that is not Guarded, a ticket of an owner that is known to live is
// refused, also if only its process is seen and the ticket may not be read; and for
// any other the caller's word is all there is: if its owner is inside after all,
// removing it lets two in.
//
// Over an engine (WithEngine) any place can be taken away, the holder's, too: who had it
// is told as of any loss, and its wait or hold is over.
//
// Options as for Inspect. It blocks for no more than the time of a few system
// calls, or eight seconds where the filesystem does not answer (ErrUnanswered);
// the ticket may then be removed later. The error is an *Error. It matches ErrInside,
// ErrInvalid for what is no ticket of this queue, fs.ErrNotExist for one that is
// gone, engine.ErrUnavailable; others are those of New, the filesystem's and the
// engine's. After any but ErrUnanswered and engine.ErrUnavailable nothing was removed. It
// is safe for use by several goroutines.
func Evict(path, ticket string, opts ...Option) (Ticket, error) {
	var evicted Ticket
	var err error
	if inTime, _ := wake.Within(answerLimit, func() { evicted, err = evict(path, ticket, opts) }); !inTime {
		return Ticket{}, &Error{Op: "evict", Path: path, Err: ErrUnanswered}
	}
	return evicted, err
}

func evict(path, ticket string, opts []Option) (Ticket, error) {
	l, err := newOnlooker(path, opts)
	if err != nil {
		return Ticket{}, &Error{Op: "evict", Path: path, Err: err}
	}
	t, err := l.evict(ticket)
	if err != nil {
		return t, &Error{Op: "evict", Path: l.path, Err: err}
	}
	return t, nil
}

func (l *FileLock) evict(name string) (Ticket, error) {
	if l.engine != nil {
		return l.evictPlace(name)
	}
	dir, name := filepath.Split(name)
	if dir != "" && filepath.Clean(dir) != filepath.Clean(l.passage.Queue.Dir) {
		return Ticket{}, fmt.Errorf("%w: %s is not in %s, where the tickets of this lock are", ErrInvalid, ticket.Quote(dir+name), ticket.Quote(l.passage.Queue.Dir))
	}
	c, err := passage.Evict(&l.passage, name)
	t := newTicket(c)
	switch {
	case err == nil:
		if l.passage.Observe != nil {
			l.passage.Observe(turn.Event{Step: turn.Reclaimed, Other: c})
		}
		return t, nil
	case errors.Is(err, passage.ErrNoTicket):
		return Ticket{}, fmt.Errorf("%w: %s is no ticket of this lock", ErrInvalid, ticket.Quote(name))
	case errors.Is(err, fs.ErrNotExist):
		return Ticket{}, fmt.Errorf("ticket %s is gone: %w", ticket.Quote(name), err)
	case errors.Is(err, ticketdir.ErrInside):
		return t, fmt.Errorf("%w: %s", ErrInside, t)
	default:
		return t, err
	}
}
