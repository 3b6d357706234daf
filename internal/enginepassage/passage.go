// Package enginepassage makes a passage of an engine's ticket. What is the same for
// all engines is here: the lease is renewed, being late with it is a loss, and what
// is left behind is cleaned up in the background.
package enginepassage

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/lease"
	"github.com/filelock-go/filelock/internal/turn"
)

// Config is what the passages of one lock have in common.
type Config struct {
	Queue engine.Queue
	// Observe is told of each step, unless it is nil.
	Observe func(turn.Event)
}

// Passage is one contender, on its way or inside. It implements turn.Passage,
// turn.Requeuer and turn.Observable.
type Passage struct {
	cfg    *Config
	shared bool
	try    bool
	place  atomic.Pointer[place] // the present one, never nil
	since  time.Time             // when it came to where it is
	onWait func()                // nil: nobody asks
}

var (
	_ turn.Passage    = (*Passage)(nil)
	_ turn.Requeuer   = (*Passage)(nil)
	_ turn.Observable = (*Passage)(nil)
)

// New returns a passage that has yet to join. One that is to try makes nothing
// before Try.
func New(cfg *Config, shared, try bool) *Passage {
	p := &Passage{cfg: cfg, shared: shared, try: try}
	p.place.Store(newPlace(cfg.Queue.New(shared)))
	return p
}

// Join implements turn.Passage.
func (p *Passage) Join(ctx context.Context) error {
	if p.try {
		return nil
	}
	term, err := p.place.Load().ticket.Join(ctx)
	if err != nil {
		return err
	}
	p.begin(term)
	return nil
}

// begin goes on once the ticket has its place.
func (p *Passage) begin(term engine.Term) {
	p.since = time.Now()
	pl := p.place.Load()
	pl.keep(term, func(why error) { p.lose(pl, why) })
	p.tell(turn.Event{Step: turn.Enqueued})
}

// Try implements turn.Passage.
func (p *Passage) Try(ctx context.Context) error {
	pl := p.place.Load()
	term, err := pl.ticket.Try(ctx)
	switch {
	case errors.Is(err, engine.ErrBusy):
		return turn.ErrBusy
	case err != nil:
		return err
	}
	p.begin(term)
	return p.enter(ctx)
}

// Wait implements turn.Passage.
func (p *Passage) Wait(ctx context.Context) error {
	pl := p.place.Load()
	if first, n := pl.ticket.Ahead(); n > 0 {
		if p.onWait != nil {
			p.onWait()
		}
		p.tell(turn.Event{Step: turn.Waits, Other: contender(first, true), Ahead: p.Report()})
	}
	waiting, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(pl.lost, end)()
	err := pl.ticket.Wait(waiting)
	if errors.Is(err, engine.ErrGone) {
		p.lose(pl, err)
	}
	if p.Lost() {
		return pl.loss()
	}
	if err == nil {
		return p.enter(ctx)
	}
	return err
}

// enter notes that it is the passage's turn. A turn that comes too late is none, and
// its place is another's that waits.
func (p *Passage) enter(ctx context.Context) error {
	if p.Lost() {
		return p.place.Load().loss()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.place.Load().entered.Store(true)
	p.since = time.Now()
	return nil
}

// Resumable implements turn.Passage: a wait that was ended keeps its place.
func (p *Passage) Resumable(err error) bool {
	return p.place.Load().beating.Load() != nil && !p.Lost() &&
		(errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

// lose marks a place as gone, for a reason.
func (p *Passage) lose(pl *place, why error) {
	if pl.lose(why) {
		p.tell(turn.Event{Step: turn.LostTurn, Err: why, Inside: pl.entered.Load()})
	}
}

// Lost implements turn.Passage. It goes by the clock: after a pause of the process
// nobody has come yet to say what is known.
func (p *Passage) Lost() bool {
	pl := p.place.Load()
	if pl.late() {
		p.lose(pl, lease.ErrLate)
	}
	return pl.lost.Err() != nil
}

// Losing implements turn.Passage.
func (p *Passage) Losing() <-chan struct{} { return p.place.Load().lost.Done() }

// perPlace is how many grants of one place have tokens of their own.
const perPlace = 1 << 16

// Number returns a token for one more grant by the turn: higher than all before it, of
// whatever place. It reports false when the place has no more.
func (p *Passage) Number() (token uint64, ok bool) {
	pl := p.place.Load()
	n := pl.grants.Add(1) - 1
	return pl.ticket.Token()*perPlace + n, n < perPlace
}

// Place returns the place in the engine's queue.
func (p *Passage) Place() engine.Contender { return p.place.Load().ticket.Self() }

// Report implements turn.Passage.
func (p *Passage) Report() turn.Report {
	first, n := p.place.Load().ticket.Ahead()
	return turn.Report{First: contender(first, true), Known: first.ID != "", Ahead: n}
}

// OnWait implements turn.Observable.
func (p *Passage) OnWait(f func()) { p.onWait = f }

// Survey implements turn.Observable. The ticket has looked whenever something moved
// right ahead of it; more looks, by all who wait, would be a burden to the service.
func (p *Passage) Survey(time.Duration) turn.Report {
	r := p.Report()
	r.Known = r.Known && r.Ahead > 0
	return r
}

// tell tells the observer.
func (p *Passage) tell(e turn.Event) {
	if p.cfg.Observe != nil {
		e.ID = p.place.Load().ticket.Self().ID
		p.cfg.Observe(e)
	}
}
