package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

// party are readers that are inside by one turn, which ends when the last of them
// leaves.
//
// Whoever stands directly behind the reader that leads comes in with it. Who arrives
// later joins the party only if nobody stands in the line, and not for longer than a
// batch: else readers that come and go would keep up the turn for ever, and other
// processes' writers outside. After that a reader leads anew, with a ticket at the
// tail of the queue, and is inside at once, beside the others, unless a writer waits
// there. So a line may have several parties, and at most one who leads.
//
// A writer leads while readers are inside, too: its ticket is in the queue from then
// on, and whoever comes after it stands behind it in the line.
type party struct {
	passage turn.Passage
	readers int
	since   time.Time // when its turn came
	heirs   bool      // the last reader is to leave the turn to them
}

// join makes an arrival one more of the latest party, if it may be, and returns the
// party's turn. l.mu is held.
func (l *Line) join(batch time.Duration) turn.Passage {
	if len(l.parties) == 0 {
		return nil
	}
	latest := &l.parties[len(l.parties)-1]
	if time.Since(latest.since) >= batch || latest.passage.Lost() {
		return nil
	}
	latest.readers++
	return latest.passage
}

// admit makes a party of who leads, whose turn has come, and the readers directly
// behind it, and hands on the lead. l.mu is held.
func (l *Line) admit(p turn.Passage) {
	party := party{passage: p, readers: 1, since: l.first}
	for w := l.waiters.first; w != nil && w.attempt.Shared(); w = l.waiters.first {
		l.next(given{granted: true, passage: p})
		party.readers++
	}
	l.parties = append(l.parties, party)
	l.front = nil
	l.next(given{})
}

// partyOf returns the index of the party whose turn p is, or -1. l.mu is held.
func (l *Line) partyOf(p turn.Passage) int {
	return slices.IndexFunc(l.parties, func(x party) bool { return x.passage == p })
}

// depart takes one reader from a party. The last one gives up the turn: if nobody
// leads, nobody does meanwhile, so that who comes next can come back to a ticket that
// rests. Each of the others looks whether the turn is still there, since it may have been lost
// while that one had it, and only the last one learns so by leaving. l.mu is held, but not
// while the turn is looked for or given up.
func (l *Line) depart(i int) error {
	p := l.parties[i].passage
	var standing error
	if l.parties[i].readers > 1 {
		standing = l.standing(p)
		i = l.partyOf(p) // others have come and gone, but we are still inside
	}
	if l.parties[i].readers--; l.parties[i].readers > 0 {
		return standing
	}
	heirs, leads := l.parties[i].heirs, !l.busy
	l.parties = slices.Delete(l.parties, i, i+1)
	if leads {
		l.busy, l.shared, l.first = true, true, time.Time{}
	}
	if errors.Is(standing, turn.ErrUnanswered) { // the time is over that leaving may take
		go func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			_ = l.end(p, heirs, leads)
		}()
		return standing
	}
	return l.end(p, heirs, leads)
}

// end gives up a party's turn, or leaves it to heirs, and the lead with it if the last
// reader leads. l.mu is held, but not meanwhile.
func (l *Line) end(p turn.Passage, heirs, leads bool) (err error) {
	if heirs {
		err = l.bequeath(p)
	} else {
		err = l.leave(p)
	}
	if leads {
		l.next(given{})
	}
	return err
}

// standing looks whether a turn is still there. l.mu is held, but not meanwhile.
func (l *Line) standing(p turn.Passage) error {
	s, ok := p.(turn.Standing)
	if p.Lost() || !ok {
		return lost(p)
	}
	look := s.Standing()
	l.mu.Unlock()
	defer l.mu.Lock()
	if fast, ok := p.(turn.Prompt); ok && fast.Prompt() {
		return look()
	}
	var err error
	if inTime, _ := wake.Within(standingPatience, func() { err = look() }); !inTime {
		return fmt.Errorf("%w, so that it is not known whether the lock was lost", turn.ErrUnanswered)
	}
	return err
}

// standingPatience is how long a reader that leaves others inside waits for the answer
// whether the turn is still there.
const standingPatience = 5 * time.Second

func lost(p turn.Passage) error {
	if p.Lost() {
		return turn.ErrLost
	}
	return nil
}

// onlyReaders reports whether nobody in this process is in the way of a reader.
// l.mu is held.
func (l *Line) onlyReaders() bool {
	return (!l.busy || l.shared) && l.waiters.exclusive == 0
}

// tryBeside is Try for a reader while another one leads: with a ticket of its own,
// since how that one fares is not to be waited for.
func (l *Line) tryBeside(ctx context.Context, a Attempt) (turn.Passage, error) {
	p := a.New()
	if err := p.Join(ctx); err != nil {
		return nil, err
	}
	if err := a.Wait(ctx, p); err != nil {
		return nil, withLeaving(err, p.Leave())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parties = append(l.parties, party{passage: p, readers: 1, since: time.Now()})
	return p, nil
}
