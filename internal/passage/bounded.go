package passage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

// lateness is how long after its context's end a call may still return by
// itself. Waits do, at once; a call to a server that does not answer does not.
const lateness = 20 * time.Millisecond

// bounded calls f and returns what it does, but returns with ctx's error when
// ctx is done, even if f is kept by a filesystem that does not answer. Then the
// passage is abandoned: when f comes back, whatever it brings, its ticket is
// removed.
//
// Where the filesystem is this kernel's own, f is simply called.
func (p *Passage) bounded(ctx context.Context, f func(context.Context) error) error {
	if p.prompt(ctx) {
		return f(ctx)
	}
	done := make(chan error, 1)
	go func() {
		err := f(ctx)
		p.mu.Lock()
		abandoned := p.abandoned.Load()
		if !abandoned {
			done <- err
		}
		p.mu.Unlock()
		if abandoned {
			p.giveUp()
			p.cfg.Site.unanswered.Add(-1)
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// Success is too late by now: the place is kept, or given up, as after any
	// wait that was ended.
	timer := time.NewTimer(lateness)
	defer timer.Stop()
	select {
	case err := <-done:
		return cmp.Or(err, ctx.Err())
	case <-timer.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case err := <-done:
		return cmp.Or(err, ctx.Err())
	default:
	}
	p.abandoned.Store(true)
	p.cfg.Site.unanswered.Add(1)
	return fmt.Errorf("%w: %w", turn.ErrUnanswered, ctx.Err())
}

// prompt reports whether no call need be bounded: the filesystem asks no server,
// or the caller has all the time of the world.
func (p *Passage) prompt(ctx context.Context) bool {
	return ctx.Done() == nil || p.cfg.Site.prompt.Load()
}

// leavePatience is how long Leave waits for a filesystem that does not answer.
const leavePatience = 5 * time.Second

// removeInTime is remove, but does not wait for longer than its caller has time.
// Then it goes on in the background until it has succeeded, which is an error
// only for one who was inside: a wait has ended with one already, at its moment.
func (p *Passage) removeInTime() error {
	if p.cfg.Site.prompt.Load() {
		return p.restOrRemove()
	}
	patience, late := leavePatience, turn.ErrUnanswered
	if !p.entered.Load() {
		patience, late = lateness, nil
	}
	var err error
	inTime, ended := wake.Within(patience, func() { err = p.remove() })
	if !inTime {
		go func() {
			<-ended
			p.unheard(err)
		}()
		return late
	}
	return err
}

// spare waits until few enough calls of this site are unanswered. Each costs a
// thread, and there is no end of attempts.
func (s *Site) spare(ctx context.Context) error {
	for s.unanswered.Load() >= mostUnanswered {
		if wake.Sleep(ctx, lateness) != nil {
			return fmt.Errorf("%w: %w", turn.ErrUnanswered, ctx.Err())
		}
	}
	return nil
}

// unanswered reports whether err is of a call that goes on in the background.
func unanswered(err error) bool { return errors.Is(err, turn.ErrUnanswered) }
