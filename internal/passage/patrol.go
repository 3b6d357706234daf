package passage

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/turn"
)

const (
	// patrolInterval is how often the next in line looks for what no event tells:
	// what takes the grace to prove is proven by the second look.
	patrolInterval = liveness.Grace + 50*time.Millisecond
	// rarest is how many times as long those far behind take: the more they are,
	// the more likely it is that somebody nearer has looked.
	rarest = 60
)

// standing are the tickets that a way through the queue, from the lowest on, has
// found there.
type standing struct{ some, exclusive bool }

func (s *standing) add(t queue.Ticket) { s.some, s.exclusive = true, s.exclusive || !t.Shared }

// mayEnter reports whether it is the turn of the next ticket: nothing conflicts with
// it below. That stays so until its number rises, since newcomers end above it. Only
// then is it stalled if it does not go in: not the writer behind readers who are
// inside, nor the reader behind that writer.
func (s *standing) mayEnter(t queue.Ticket) bool { return !s.some || t.Shared && !s.exclusive }

// schedulePatrol sets when patrol is due: as many intervals from now as there
// are contenders between us and the lowest, which leaves, in the case of the
// next but one, a second to see that its turn has come to the one before us, and
// the grace to see that it does not take it.
func (p *Passage) schedulePatrol(below int) {
	interval := patrolInterval * time.Duration(min(max(below-1, 1), rarest))
	if !p.dir.OneKernel() {
		interval = patrolInterval
	}
	p.patrolAt = time.Now().Add(interval)
}

// patrol looks whether those go on whose turn it is: an owner that is stopped or
// never scheduled at the head of the queue would keep everybody waiting, and
// who waits for another one would not notice. It returns queue.ErrGone if the
// own ticket is gone.
func (p *Passage) patrol() error {
	remaining := p.contender.Below()
	p.schedulePatrol(len(remaining))
	if !p.dir.OneKernel() {
		return p.patrolFar()
	}
	if len(remaining) < 2 {
		return p.stands() // the caller looks at the other one next
	}
	remaining, err := p.dir.Remaining(remaining)
	if err != nil {
		return err
	}
	// Those that have risen are not ahead any more, let alone the lowest.
	own := p.contender.Own()
	remaining = slices.DeleteFunc(remaining, own.Before)
	p.schedulePatrol(len(remaining))
	slices.SortFunc(remaining, queue.Ticket.Compare) // some may have risen
	x := p.examiner()
	var s standing
	for _, t := range remaining {
		if !s.mayEnter(t) {
			break
		}
		e, err := x.look(t, p.kept.find(t.Name), true)
		if err != nil || !e.gone && !own.Before(e.ticket) && !(e.verdict.Removable() && p.reclaim(&x, &e)) {
			s.add(t)
		}
		p.keep(&e)
	}
	return nil
}

// stands looks whether the own ticket is there. A holder that comes back to its own
// again and again (R14) sees nobody, and so never wakes one who was robbed.
func (p *Passage) stands() error {
	_, err := p.dir.Stat(p.dir.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = queue.ErrGone
	}
	return err
}

// patrolFar removes the tickets of this machine's dead wherever they stand in
// the queue: contenders on other machines cannot, so that two, each waiting for
// a dead one of the other's, would wait for ever (R10).
func (p *Passage) patrolFar() error {
	tickets, err := p.dir.List()
	if err != nil {
		return err
	}
	p.reapDeparted(slices.Clone(tickets))
	return nil
}

// reapDeparted removes those tickets whose owners were processes of this
// machine and are no more.
func (p *Passage) reapDeparted(tickets []queue.Ticket) {
	self, err := liveness.Self()
	if err != nil {
		return // nothing can be told of anybody
	}
	x := p.examiner()
	for _, t := range tickets {
		name, _ := ticket.Parse(p.cfg.Queue.Prefix, t.Name)
		if t.Name == p.dir.Name() || name.Plain || !self.Departed(name) {
			continue
		}
		if e, err := x.look(t, nil, false); err == nil && e.verdict.State == liveness.Dead {
			if err := x.remove(&e); err == nil {
				p.tell(turn.Event{Step: turn.Reclaimed, Other: x.contender(&e)})
			}
		}
	}
}

var _ queue.Others = (*Passage)(nil)
