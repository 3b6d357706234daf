package filelock

import (
	"context"
	"time"

	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/turn"
)

// answerLimit is how long Reap and Evict wait for a filesystem that does not answer.
const answerLimit = 8 * time.Second

// Reap removes the tickets of dead owners from the queue of path and returns
// them. Where a proof takes time, as for an owner whose locks are all free, it
// waits for that, about a second. (An owner that takes longer than that to get in
// line starts anew.)
// Options as for Inspect.
//
// There is no need to call it: waiters do the same for the tickets ahead of
// them. It blocks for no more than the time of a few system calls for each ticket, and
// the second of a proof; if the filesystem leaves one of these calls unanswered for eight
// seconds, it returns ErrUnanswered, and what that call was about may be removed
// later. The error is an *Error; it wraps those of tickets that are dead but
// could not be removed, of which there may be some besides those returned. It is safe
// for use by several goroutines.
func Reap(path string, opts ...Option) ([]Ticket, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := reaping{ctx: ctx, looks: make(chan look), done: make(chan error, 1)}
	go func() { r.done <- r.run(path, opts) }()
	var reaped []Ticket
	limit := time.NewTimer(answerLimit)
	defer limit.Stop()
	for {
		select {
		case l := <-r.looks:
			if l.removed {
				reaped = append(reaped, newTicket(l.contender))
			}
			limit.Reset(answerLimit)
		case err := <-r.done:
			return reaped, err
		case <-limit.C:
			return reaped, &Error{Op: "reap", Path: path, Err: ErrUnanswered}
		}
	}
}

// look is one look at a ticket, by Reap.
type look struct {
	contender turn.Contender
	removed   bool
}

// reaping is one call of Reap. It goes on until ctx is done, which is asked between two
// tickets: a call that is not answered cannot be ended.
type reaping struct {
	ctx   context.Context
	looks chan look // each is a sign that the filesystem answers
	done  chan error
}

func (r *reaping) run(path string, opts []Option) error {
	l, err := newOnlooker(path, opts)
	if err != nil {
		return &Error{Op: "reap", Path: path, Err: err}
	}
	err = passage.Reap(r.ctx, &l.passage, func(c turn.Contender, removed bool) {
		if removed && l.passage.Observe != nil {
			l.passage.Observe(turn.Event{Step: turn.Reclaimed, Other: c})
		}
		select {
		case r.looks <- look{c, removed}:
		case <-r.ctx.Done():
		}
	})
	if err != nil {
		return &Error{Op: "reap", Path: l.path, Err: err}
	}
	return nil
}
