package passage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

const (
	// many ahead are so many that inotify instances may become scarce: from
	// there on, waiters have a bell for those behind them.
	many = 16
	// handOff is how long a hand-off is taken to last,
	handOff = 250 * time.Microsecond
	// longHold is the same for those who hold it long.
	longHold = 10 * time.Millisecond
	// unlimited is longer than any pause of a waiter's own.
	unlimited = time.Hour
)

// Watch implements queue.Others.
func (p *Passage) Watch(t queue.Ticket) queue.Watch {
	if p.try {
		return &tryWatch{Waiter: wake.Poll(p.cfg.Poll), p: p}
	}
	name, _ := ticket.Parse(p.cfg.Queue.Prefix, t.Name)
	if p.cfg.OnWatch != nil {
		p.cfg.OnWatch()
	}
	if p.cfg.Observe != nil {
		p.tell(turn.Event{
			Step: turn.Waits, Other: turn.Contender{ID: p.path(t), Host: name.Host, PID: name.PID}, Ahead: p.Report(),
		})
	}
	prompt := p.dir.OneKernel()
	// Leases end without an event, and plain owners keep nothing open.
	complete := prompt && name.Lease == 0 && !name.Plain
	w := &watch{Waiter: wake.Later(p.path(t), p.cfg.Poll, complete), p: p, until: t, owner: name}
	p.watching = t.Name
	_, ahead, _ := p.contender.Ahead()
	p.schedulePatrol(p.contender.Waiting())
	if !prompt {
		w.Arm()
		return w
	}
	if w.polls = bubble.Inside() && p.ownProcess(name); w.polls {
		return w
	}
	var told bool
	if ahead > many && !name.Plain {
		// A reader has a bell only if many writers are ahead of it.
		told = w.Listen(name.Nonce, name.PID) || name.Shared && w.Arm()
	} else {
		told = w.Arm()
	}
	if p.bell == nil && (ahead >= many || !told) {
		own, _ := ticket.Parse(p.cfg.Queue.Prefix, p.dir.Name())
		p.bell = wake.Hang(own.Nonce)
	}
	return w
}

// ownProcess reports whether a ticket is one of this process.
func (p *Passage) ownProcess(name ticket.Name) bool {
	self, err := liveness.Self()
	return err == nil && name.PID == self.PID && name.Start == self.Start && name.Host == self.Host
}

// watch waits for a ticket.
//
// As a rule the kernel tells of its changes. But a user has 128 inotify
// instances by default, and other programs may have them all. Polling at the
// interval of WithPollInterval would then cost that much at every hand-off. But
// how many are ahead tells how long it will take at the least: so it looks
// again after that many hand-offs, which are ever fewer as its turn comes near.
// While nothing moves, it takes twice as long each time, up to as many long
// holds, or the interval.
type watch struct {
	*wake.Waiter
	p     *Passage
	until queue.Ticket
	owner ticket.Name // of until
	ahead int         // at the last look
	// polls: the owner may be in the same bubble of testing/synctest as the waiter,
	// whose clock stands still while somebody waits in a system call.
	polls bool
	pause time.Duration
}

// Wait implements queue.Watch.
func (w *watch) Wait(ctx context.Context, soon bool) error {
	p := w.p
	p.tellWait()
	if p.again {
		// Whatever woke us is used up, and the look after it failed.
		p.again = false
		return wake.Sleep(ctx, p.cfg.Poll)
	}
	if !p.reaped && !p.dir.OneKernel() {
		// Those ahead are known; the next patrol sees the others, too.
		p.reaped = true
		p.reapDeparted(p.contender.AllAhead())
	}
	limit := time.Until(p.patrolAt)
	if p.glanced {
		limit = min(limit, patience(p.contender.CountBelow()))
	}
	w.Limit(limit)
	var err error
	if soon || w.polls || p.glanced || !w.Blind() || !p.dir.OneKernel() {
		err = w.Waiter.Wait(ctx, soon)
	} else {
		err = w.waitBlind(ctx)
	}
	if err == nil && !time.Now().Before(p.patrolAt) {
		err = p.patrol()
		if err != nil && !errors.Is(err, queue.ErrGone) {
			// One failure ends no wait. If it lasts, the next turn's listing says so.
			p.again, err = true, nil
		}
	}
	return err
}

// tryWatch waits for a ticket for as long as a try has patience.
type tryWatch struct {
	*wake.Waiter
	p *Passage
}

// Wait implements queue.Watch.
func (w *tryWatch) Wait(ctx context.Context, soon bool) error {
	p := w.p
	now := time.Now()
	if p.patient.IsZero() {
		p.patient = now.Add(tryPatience + 2*(p.cfg.Site.mayArrive()-liveness.Grace))
	}
	if !now.Before(p.patient) {
		return queue.ErrBusy
	}
	w.Limit(p.patient.Sub(now))
	return w.Waiter.Wait(ctx, soon)
}

func (w *watch) waitBlind(ctx context.Context) error {
	interval := w.p.cfg.Poll
	for began := time.Now(); ; {
		// The bell of one who came at the same moment may not hang yet.
		if w.Listen(w.owner.Nonce, w.owner.PID) || w.ahead != 0 && w.Arm() {
			return ctx.Err() // by now the kernel tells; the caller looks once more
		}
		remaining := w.p.contender.AllAhead()
		if len(remaining) > 1 {
			var err error
			if remaining, err = w.p.dir.Remaining(remaining); err != nil {
				if errors.Is(err, queue.ErrGone) {
					return err
				}
				w.p.again = true
				return ctx.Err()
			}
			own := w.p.contender.Own()
			ahead := func(t queue.Ticket) bool { return t.Name == w.until.Name && t.Before(own) }
			if !slices.ContainsFunc(remaining, ahead) {
				return ctx.Err() // it is gone, or has risen
			}
		}
		if n := len(remaining); n != w.ahead {
			w.ahead, w.pause = n, time.Duration(n)*handOff
		} else {
			w.pause *= 2
		}
		w.pause = min(w.pause, time.Duration(len(remaining))*longHold, interval)
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
