package passage

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

// Heritable implements turn.Bequeather.
func (p *Passage) Heritable() error {
	switch {
	case !ticketdir.HasWitness:
		return fmt.Errorf("%w: this system has no witness", errors.ErrUnsupported)
	case p.cfg.Lease > 0:
		return fmt.Errorf("%w: nobody would renew the lease (WithLease)", errors.ErrUnsupported)
	case p.cfg.PlainPeers:
		return fmt.Errorf("%w: programs with the plain rule go by the pid in the ticket's name (WithPlainPeers)", errors.ErrUnsupported)
	}
	return nil
}

// Bequeath implements turn.Bequeather.
func (p *Passage) Bequeath() error {
	if p.abandoned.Load() || !p.dir.Shared() {
		return p.Leave()
	}
	p.way.close()
	p.setHeld(nil)
	heirs, err := p.bequeathInTime()
	if p.cfg.mayRest() {
		p.cfg.Site.leftAt(time.Now())
	}
	switch {
	case unanswered(err):
		p.tell(turn.Event{Step: turn.Abandoned, Err: err, Inside: true})
		return fmt.Errorf("%w; it is bequeathed as soon as it does", err)
	case errors.Is(err, queue.ErrGone):
		p.lose(err)
		return turn.ErrLost
	case err != nil:
		p.tell(turn.Event{Step: turn.Abandoned, Err: err, Inside: true})
		return fmt.Errorf("%w (who has the witness has the lock; whether anybody has is not known, and is looked at again)", err)
	}
	step := turn.Released
	if heirs {
		step = turn.Bequeathed
	}
	if p.cfg.Observe != nil {
		p.tell(turn.Event{Step: step, For: time.Since(p.since), Inside: true})
	}
	return nil
}

// bequeath leaves the ticket to its heirs, and sees to its end.
func (p *Passage) bequeath() (heirs bool, err error) {
	heirs, err = p.dir.Bequeath()
	p.quiet()
	if heirs || err != nil && !errors.Is(err, queue.ErrGone) {
		e := estate{queue: p.cfg.Queue, name: p.dir.Name(), rarely: lastRetry}
		if !p.dir.Tidied() {
			e.rarely = untidied
		}
		e.later(firstRetry)
	}
	return heirs, err
}

// bequeathInTime is bequeath, but does not wait for a filesystem that does not
// answer for longer than Leave does.
func (p *Passage) bequeathInTime() (heirs bool, err error) {
	if p.cfg.Site.prompt.Load() {
		return p.bequeath()
	}
	var some bool
	var failed error
	if inTime, _ := wake.Within(leavePatience, func() { some, failed = p.bequeath() }); !inTime {
		return false, turn.ErrUnanswered
	}
	return some, failed
}

// untidied is how often at the least an estate is looked at that others cannot
// see to: they wait until we do.
const untidied = time.Second

// estate is a ticket that was left to heirs. For as long as this process lives, it
// looks now and then whether they have all ended, and removes the ticket. Where the
// next contender does that at sight, this one only keeps the directory tidy.
type estate struct {
	queue  ticketdir.Queue
	name   string
	rarely time.Duration // the longest pause
}

func (e estate) later(after time.Duration) {
	time.AfterFunc(after, func() {
		if !settled(e.queue, e.name) {
			e.later(min(2*after, e.rarely))
		}
	})
}

// settled removes a ticket that was left to heirs if none is left, and reports whether
// it is gone. It is a variable for tests of when that is asked.
var settled = func(q ticketdir.Queue, name string) bool {
	v, err := ticketdir.Open(q)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) // and so is the ticket
	}
	defer v.Close()
	held, err := v.RemoveUnheld(name)
	return err == nil && !held
}
