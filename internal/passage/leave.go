package passage

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/turn"
)

// Leave implements turn.Passage. If the ticket cannot be removed, its locks are
// given up at least, so that others may remove it, and it is tried again in the
// background: nobody has to look after it.
func (p *Passage) Leave() error {
	if p.abandoned.Load() {
		return nil // the call that was abandoned sees to it
	}
	p.way.close()
	p.setHeld(nil)
	err := p.removeInTime()
	gone := errors.Is(err, queue.ErrGone)
	if unanswered(err) {
		p.tell(turn.Event{Step: turn.Abandoned, Err: err, Inside: p.entered.Load()})
		return fmt.Errorf("%w; its ticket is removed as soon as it does", err)
	}
	if err != nil && !gone {
		quit, entries := p.dir.Quit(), p.dir.Entries()
		p.tell(turn.Event{Step: turn.Abandoned, Err: err, Inside: p.entered.Load()})
		p.removeLater(firstRetry) // from here on the ticket is not ours to look at
		if quit != nil {
			return errors.Join(err, quit)
		}
		if !entries {
			return fmt.Errorf("%w (its ticket keeps others waiting until it is removed, which is tried again, or this process ends)", err)
		}
		return fmt.Errorf("%w (the lock is free, and its ticket can be removed by whoever may; it is tried again)", err)
	}
	if p.cfg.Observe != nil {
		p.tellLeft()
	}
	if p.rested {
		p.cfg.Site.keep(p.place, p.cfg, p.ofUse) // from here on it may be another passage's
		return nil
	}
	if p.cfg.mayRest() {
		p.cfg.Site.leftAt(time.Now())
	}
	if p.entered.Load() && gone {
		p.lose(err)
	}
	if p.entered.Load() && p.Lost() {
		return turn.ErrLost
	}
	return nil
}

func (p *Passage) tellLeft() {
	step := turn.Left
	if p.entered.Load() {
		step = turn.Released
	}
	p.tell(turn.Event{Step: step, For: time.Since(p.since), Inside: p.entered.Load()})
}

// remove removes the ticket and ends what goes on beside it.
func (p *Passage) remove() error {
	err := p.contender.Leave()
	p.quiet()
	return err
}

// restOrRemove is remove for one who may come back.
func (p *Passage) restOrRemove() (err error) {
	if !p.entered.Load() || !p.cfg.mayRest() {
		return p.remove()
	}
	p.rested, err = p.contender.Rest()
	p.quiet()
	return err
}

// Requeue implements turn.Requeuer.
func (p *Passage) Requeue() bool {
	if !p.cfg.mayRest() || !p.cfg.Site.prompt.Load() {
		return false
	}
	p.setHeld(nil)
	if !p.contender.Requeue() {
		p.setHeld(p.dir)
		return false
	}
	p.way.close()
	p.quiet()
	if p.cfg.Observe != nil {
		p.tellLeft()
		p.since = time.Now()
		p.tell(turn.Event{Step: turn.Enqueued})
	}
	p.entered.Store(false)
	p.way, p.try, p.vain = new(way), false, false
	return true
}

// giveUp is the end of an abandoned passage, whose Leave has returned.
func (p *Passage) giveUp() {
	p.way.close()
	p.unheard(p.remove())
}

// unheard sees to a removal of whose end nobody hears.
func (p *Passage) unheard(err error) {
	if err != nil && !errors.Is(err, queue.ErrGone) {
		_ = p.dir.Quit()
		p.removeLater(firstRetry)
	}
}

// leave removes a ticket that rested.
func (pl *place) leave() error {
	err := pl.contender.Leave()
	if errors.Is(err, queue.ErrGone) {
		return nil
	}
	if err != nil {
		_ = pl.dir.Quit()
		pl.removeLater(firstRetry)
	}
	return err
}

const firstRetry, lastRetry = 100 * time.Millisecond, time.Minute

// removeLater tries to remove the ticket after some time, and again.
func (pl *place) removeLater(after time.Duration) {
	time.AfterFunc(after, func() {
		if err := pl.contender.Leave(); err != nil && !errors.Is(err, queue.ErrGone) {
			pl.removeLater(min(2*after, lastRetry))
		}
	})
}

// Witness implements turn.Witnessed. The place may be another passage's by now.
func (p *Passage) Witness() (*os.File, error) {
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held == nil {
		return nil, os.ErrClosed
	}
	return held.Witness()
}
