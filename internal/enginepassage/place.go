package enginepassage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/lease"
	"github.com/filelock-go/filelock/internal/turn"
)

// renewals is how many renewals that are not answered a lease can bear.
const renewals = 3

// place is a ticket that has joined, or is to, and what goes on beside it.
type place struct {
	ticket  engine.Ticket
	length  time.Duration
	beating atomic.Pointer[lease.Heartbeat] // nil before it has joined
	entered atomic.Bool
	grants  atomic.Uint64
	// unanswered: the last renewal was not answered.
	unanswered atomic.Bool

	lost context.Context // ends when the place is lost, with the reason as its cause
	end  context.CancelCauseFunc
	over chan struct{} // closed by quiet
}

func newPlace(t engine.Ticket) *place {
	pl := &place{ticket: t, over: make(chan struct{})}
	pl.lost, pl.end = context.WithCancelCause(context.Background())
	return pl
}

// keep renews the place's lease, and has lose called when it is gone.
func (pl *place) keep(term engine.Term, lose func(error)) {
	pl.length = term.Length
	pl.beating.Store(lease.StartAt(pl.renew, term.Length, term.Since, lose))
	if gone := pl.ticket.Gone(); gone != nil {
		go func() {
			select {
			case <-gone:
			case <-pl.over:
			}
			select {
			case <-pl.over: // it may be gone because it was left
			default:
				lose(engine.ErrGone)
			}
		}()
	}
}

// renew renews the lease once. It waits no longer for an answer than that another
// attempt is possible.
func (pl *place) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pl.length/renewals)
	defer cancel()
	err := pl.ticket.Renew(ctx)
	pl.unanswered.Store(errors.Is(err, engine.ErrUnavailable))
	if errors.Is(err, engine.ErrGone) {
		return fmt.Errorf("%w: %w", lease.ErrOver, err)
	}
	return err
}

// lose notes why the place is lost, and reports whether that is new.
func (pl *place) lose(why error) bool {
	if pl.lost.Err() != nil {
		return false
	}
	if errors.Is(why, lease.ErrLate) && pl.unanswered.Load() {
		why = fmt.Errorf("%w: %w", why, engine.ErrUnavailable)
	}
	pl.end(why)
	return true
}

// loss is the error of a wait in a place that was lost.
func (pl *place) loss() error { return fmt.Errorf("%w: %w", turn.ErrLost, context.Cause(pl.lost)) }

func (pl *place) left() time.Duration { return pl.beating.Load().Left() }

// late reports whether the lease is over by the clock.
func (pl *place) late() bool { return pl.beating.Load() != nil && pl.left() <= 0 }

// quiet ends what goes on beside the place. From here on it is not renewed.
func (pl *place) quiet() {
	select {
	case <-pl.over:
		return
	default:
		close(pl.over)
	}
	pl.beating.Load().Stop()
}

// leave gives the place up. It tries for as long as the lease lasts: after that
// there is nothing to give up.
func (pl *place) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), pl.left())
	defer cancel()
	return pl.ticket.Leave(ctx)
}

// leaveSoon is leave for one who does not wait for it. What is lost is left as well:
// the engine may have things to clean up.
func (pl *place) leaveSoon(lost bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = pl.leave() // or it ends with its lease
	}()
	if lost {
		return
	}
	timer := time.NewTimer(lateness)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
