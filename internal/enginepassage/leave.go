package enginepassage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/turn"
)

// Requeue implements turn.Requeuer, where the engine can do it in one step.
func (p *Passage) Requeue() bool {
	next, ok := p.cfg.Queue.New(p.shared).(engine.Swapper)
	if !ok {
		return false
	}
	pl := p.place.Load()
	pl.quiet() // its lease may be used for another place as soon as it is given up
	ctx, cancel := context.WithTimeout(context.Background(), min(patience, pl.left()))
	defer cancel()
	term, err := next.JoinFor(ctx, pl.ticket)
	if err != nil {
		return false
	}
	p.tell(turn.Event{Step: turn.Released, For: time.Since(p.since), Inside: true})
	p.place.Store(newPlace(next))
	p.begin(term)
	return true
}

const (
	// patience is how long a holder that leaves waits for the line's next place.
	patience = time.Second
	// lateness is how long after its context's end a call may still return.
	lateness = 10 * time.Millisecond
)

// Leave implements turn.Passage. A place that was only waited in is given up in the
// background, if that takes longer: the wait has ended with an error already, at its
// moment.
func (p *Passage) Leave() error {
	pl := p.place.Load()
	entered, beating := pl.entered.Load(), pl.beating.Load() != nil
	lost := p.Lost()
	pl.quiet()
	if !beating {
		return nil
	}
	if lost || !entered {
		pl.leaveSoon(lost)
		p.tellLeft(entered)
		if lost && entered {
			return turn.ErrLost
		}
		return nil
	}
	err := pl.leave()
	p.tellLeft(entered)
	if errors.Is(err, engine.ErrGone) {
		p.lose(pl, err)
		return turn.ErrLost
	}
	if err != nil {
		p.tell(turn.Event{Step: turn.Abandoned, Err: err, Inside: true})
		return fmt.Errorf("%w; the ticket ends with its lease, within %v", err, pl.length)
	}
	return nil
}

func (p *Passage) tellLeft(entered bool) {
	step := turn.Left
	if entered {
		step = turn.Released
	}
	p.tell(turn.Event{Step: step, For: time.Since(p.since), Inside: entered})
}
