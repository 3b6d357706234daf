package keyqueue

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/enginepassage"
	"github.com/filelock-go/filelock/internal/turn"
)

// actor goes through the queue again and again, in all ways there are.
type actor struct {
	*schedule
	process string
	cfg     *enginepassage.Config
	rng     *rand.Rand
	until   time.Time
}

func (a *actor) between(least, most time.Duration) time.Duration {
	return least + time.Duration(a.rng.Int64N(int64(most-least)))
}

func (a *actor) one(in int) bool { return a.rng.IntN(in) == 0 }

func (a *actor) work() {
	for time.Now().Before(a.until) {
		time.Sleep(a.between(1, 300*time.Millisecond))
		a.pass()
	}
}

// pass is one passage, from joining to leaving.
func (a *actor) pass() {
	shared, try := a.one(3), a.one(4)
	limit := a.between(10*time.Second, 30*time.Second)
	if a.one(4) {
		limit = a.between(1, 300*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	p := enginepassage.New(a.cfg, shared, try)
	if err := p.Join(ctx); err != nil {
		a.expects(err)
		return
	}
	var err error
	if try {
		err = p.Try(ctx)
	} else {
		a.lives(p, true)
		err = a.waits(ctx, p)
	}
	for {
		if err == nil {
			err = a.holds(p, shared)
			if err == nil {
				return
			}
		}
		a.expects(err)
		if !p.Resumable(err) || a.one(2) {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), a.between(time.Second, 10*time.Second))
		err = a.waits(ctx, p)
		cancel()
	}
	a.lives(p, false)
	_ = p.Leave()
}

func (a *actor) waits(ctx context.Context, p *enginepassage.Passage) error {
	from := time.Now()
	err := p.Wait(ctx)
	a.waited(from, err == nil)
	return err
}

// holds is inside for a while. It returns an error of the next wait, if it got in
// line again in one step.
func (a *actor) holds(p *enginepassage.Passage, shared bool) error {
	a.lives(p, true)
	a.enters(a.process, p, shared)
	hold := a.between(1, 200*time.Millisecond)
	if a.one(10) {
		hold = a.between(1, 2*simLease)
	}
	select {
	case <-time.After(hold):
	case <-p.Losing():
	}
	a.leaves(p)
	a.lives(p, false)
	if !a.one(3) {
		if err := p.Leave(); err != nil && !errors.Is(err, turn.ErrLost) && !errors.Is(err, engine.ErrUnavailable) {
			a.expects(err)
		}
		return nil
	}
	if p.Lost() || !p.Requeue() {
		_ = p.Leave()
		return nil
	}
	a.lives(p, true)
	ctx, cancel := context.WithTimeout(context.Background(), a.between(5*time.Second, 10*time.Second))
	defer cancel()
	if err := a.waits(ctx, p); err != nil {
		return err
	}
	a.enters(a.process, p, shared)
	time.Sleep(a.between(1, 10*time.Millisecond))
	a.leaves(p)
	a.lives(p, false)
	_ = p.Leave()
	return nil
}

// expects checks an error: all that can happen here passes, or is a loss.
func (a *actor) expects(err error) {
	for _, known := range []error{
		context.DeadlineExceeded, turn.ErrBusy, turn.ErrLost, engine.ErrUnavailable,
	} {
		if errors.Is(err, known) {
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fails("unexpected: %v", err)
}
