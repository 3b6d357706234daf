package filelock

import (
	"context"
	"slices"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/wake"
)

const (
	// many ahead are so many that inotify instances may become scarce: from
	// there on, waiters have a bell for those behind them.
	many = 16
	// step is how long a hand-off is taken to last,
	step = 250 * time.Microsecond
	// longStep is the same for those who hold it long.
	longStep = 10 * time.Millisecond
)

// crowd waits for a ticket on a local filesystem.
//
// As a rule the kernel tells of its changes. But a user has 128 inotify
// instances by default, and other programs may have them all. Polling at the
// interval of WithPollInterval would then cost that much at every hand-off. But
// how many are ahead tells how long it will take at the least: so it looks
// again after that many steps, which are ever fewer as its turn comes near.
// While nothing moves, it takes twice as long each time, up to as many long
// steps, or the interval.
type crowd struct {
	*wake.Waiter
	place *place
	until queue.Ticket
	owner ticket.Name // of until
	ahead int         // at the last look
	pause time.Duration
}

// Wait implements queue.Watch.
func (w *crowd) Wait(ctx context.Context, soon bool) error {
	if soon || !w.Blind() {
		return w.Waiter.Wait(ctx, soon)
	}
	interval := w.place.lock.cfg.poll
	for began := time.Now(); ; {
		// The bell of one who came at the same moment may not hang yet.
		if w.Listen(w.owner.Nonce, w.owner.PID) || w.ahead != 0 && w.Arm() {
			return ctx.Err() // by now the kernel tells; the caller looks once more
		}
		still := w.place.contender.AllAhead()
		if len(still) > 1 {
			var err error
			if still, err = w.place.own.Remaining(still); err != nil {
				return err
			}
			if !slices.ContainsFunc(still, func(t queue.Ticket) bool { return t.Name == w.until.Name }) {
				return ctx.Err()
			}
		}
		if n := len(still); n != w.ahead {
			w.ahead, w.pause = n, time.Duration(n)*step
		} else {
			w.pause *= 2
		}
		w.pause = min(w.pause, time.Duration(len(still))*longStep, interval)
		if err := wake.Sleep(ctx, w.pause); err != nil {
			return err
		}
		// With one ahead, the caller's look tells more than a listing; and the
		// verdict on an owner is due at each interval.
		if w.ahead == 1 || time.Since(began) >= interval {
			return nil
		}
	}
}
