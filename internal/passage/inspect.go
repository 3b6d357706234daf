package passage

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

// Inspect returns all contenders in the order of the queue, as one look finds
// them.
func Inspect(cfg *Config) (all []turn.Contender, err error) {
	err = survey(cfg, func(x *examiner, t queue.Ticket, head bool) error {
		e, err := x.look(t, nil, head)
		defer e.close()
		switch {
		case e.gone:
			return nil
		case err != nil:
			// What cannot be looked at is there, and blocks.
			e.verdict = liveness.Verdict{Reason: err.Error()}
		}
		all = append(all, x.contender(&e))
		return nil
	})
	return all, err
}

// First returns who is first in the queue of those in the way of cfg's kind, for the
// error of one that did not get its turn, and false if nobody is. Where that takes no
// time it looks once more, since what was seen may have left; elsewhere it says what is
// known.
func First(cfg *Config, seen turn.Report) (turn.Contender, bool) {
	if cfg.Queue.Shared && seen.First.Shared {
		seen.Known = false // it is in the way of the writer that we wait for
	}
	if !cfg.Site.prompt.Load() {
		return seen.First, seen.Known
	}
	if seen.Known {
		c, there := lookOnce(cfg, seen.First)
		if there && c.State == turn.Inside {
			return c, true
		}
		seen.First.Label = c.Label
		// It may have left since, or rest at the tail.
		seen.Known = there && (c.State != turn.Resting || seen.First.State == turn.Resting)
	}
	if seen.Ahead > many {
		return seen.First, seen.Known // a look at all of them takes its time
	}
	all, err := Inspect(cfg)
	if err != nil {
		return seen.First, seen.Known
	}
	if cfg.Queue.Shared {
		all = slices.DeleteFunc(all, func(c turn.Contender) bool { return c.Shared })
	}
	for _, c := range all {
		if c.State == turn.Inside {
			return c, true
		}
	}
	for _, c := range all {
		if c.State != turn.Dead && c.State != turn.Resting {
			return c, true
		}
	}
	// A dead one, or one that rests, is in the way only if it may be neither removed
	// nor passed by.
	if seen.Known && (seen.First.State == turn.Dead || seen.First.State == turn.Resting) {
		for _, c := range all {
			if c.ID == seen.First.ID {
				return seen.First, true
			}
		}
	}
	return turn.Contender{}, false
}

// lookOnce looks at a contender that was seen before, and reports whether that one is
// still there, as far as can be told.
func lookOnce(cfg *Config, c turn.Contender) (turn.Contender, bool) {
	v, err := ticketdir.Open(cfg.Queue)
	if err != nil {
		return c, true
	}
	defer v.Close()
	x := cfg.examiner(v)
	x.thorough = true
	e, err := x.look(queue.Ticket{Name: filepath.Base(c.ID)}, nil, false)
	defer e.close()
	if err != nil {
		return c, true
	}
	return x.contender(&e), !e.gone
}

// survey calls f with the queue's tickets in order, and whether it is the turn of
// each. It returns the errors of all calls.
func survey(cfg *Config, f func(x *examiner, t queue.Ticket, head bool) error) error {
	view, err := ticketdir.Open(cfg.Queue)
	if err != nil {
		return err
	}
	defer view.Close()
	tickets, err := view.List()
	if err != nil {
		return err
	}
	slices.SortFunc(tickets, queue.Ticket.Compare)
	x := cfg.examiner(view)
	x.thorough = true
	writer := slices.IndexFunc(tickets, func(t queue.Ticket) bool { return !t.Shared })
	var errs []error
	var s standing
	for i, t := range tickets {
		head := s.mayEnter(t)
		s.add(t)
		switch {
		case head && t.Shared && writer >= 0:
			x.below = &tickets[writer]
		case head && !t.Shared && len(tickets) > 1:
			x.below = &tickets[i+1]
		}
		errs = append(errs, f(&x, t, head))
	}
	return errors.Join(errs...)
}

// reapLooks is how often Reap looks, a patrol's interval apart, so that what takes
// the grace to prove is proven by the last look.
const reapLooks = 2

// Reap removes the tickets of the dead. It tells looked of each ticket that it has looked
// at, and whether that is removed. For proofs that take the grace it waits that long. It
// ends between two tickets when ctx is done.
func Reap(ctx context.Context, cfg *Config, looked func(c turn.Contender, removed bool)) error {
	for looks := 1; ; looks++ {
		again := false
		err := survey(cfg, func(x *examiner, t queue.Ticket, head bool) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			e, err := x.look(t, nil, head)
			defer e.close()
			dead := err == nil && !e.gone && e.verdict.State == liveness.Dead
			if dead {
				err = x.remove(&e)
			}
			again = again || !dead && e.doorway
			looked(x.contender(&e), dead && err == nil)
			return err
		})
		if !again || looks == reapLooks || ctx.Err() != nil {
			return err
		}
		if err := wake.Sleep(ctx, patrolInterval); err != nil {
			return err
		}
	}
}
