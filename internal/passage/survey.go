package passage

import (
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// sighting is what the last look of those found who want to see a wait while it lasts.
// The waiter itself sleeps until the one before it moves, so they look for
// themselves, beside it: at what it waits for, and through a view of their own.
type sighting struct {
	mu    sync.Mutex
	at    time.Time   // of the last look; zero: there was none
	found turn.Report // by it
	own   queue.Ticket
	past  map[string]bool // tickets that are known not to be ahead of own any more
}

// OnWait implements turn.Observable.
func (p *Passage) OnWait(f func()) {
	if f == nil {
		p.onWait.Store(nil)
	} else {
		p.onWait.Store(&f)
	}
}

// tellWait tells that a wait begins, or goes on.
func (p *Passage) tellWait() {
	if f := p.onWait.Load(); f != nil {
		(*f)()
	}
}

// Survey implements turn.Observable.
func (p *Passage) Survey(age time.Duration) turn.Report {
	if p.entered.Load() {
		return p.Report()
	}
	if !p.cfg.Site.prompt.Load() {
		return p.surveyFar(max(age, patrolInterval))
	}
	s := p.sighted()
	s.mu.Lock()
	defer s.mu.Unlock()
	// Nobody ahead is no state that lasts: the turn is about to come.
	if !s.found.Known || !s.fresh(age) {
		s.found, s.at = p.sight(s), time.Now()
	}
	return s.found
}

// sighted returns the passage's sighting. It is made when it is asked for: a free lock
// pays for the size of a passage.
func (p *Passage) sighted() *sighting {
	if p.sighting.Load() == nil {
		p.sighting.CompareAndSwap(nil, new(sighting))
	}
	return p.sighting.Load()
}

func (s *sighting) fresh(age time.Duration) bool { return !s.at.IsZero() && time.Since(s.at) < age }

// surveyKey stands for a survey among the tickets about which a server is asked.
const surveyKey = ""

// surveyFar is Survey where each look is a message to a server. One that is not
// answered keeps nobody, and there is one of a site at a time.
func (p *Passage) surveyFar(age time.Duration) turn.Report {
	s := p.sighted()
	s.mu.Lock()
	found, fresh := s.found, s.fresh(age)
	s.mu.Unlock()
	if fresh || !p.cfg.Site.memory.ask(surveyKey) {
		return p.orRemembered(found)
	}
	answer := make(chan turn.Report, 1)
	go func() {
		defer p.cfg.Site.memory.answered(surveyKey)
		s.mu.Lock() // nobody else has it for longer than it takes to read
		own, past := s.own, s.past
		s.mu.Unlock()
		next := sighting{own: own, past: past}
		r := p.sight(&next)
		s.mu.Lock()
		s.own, s.past, s.found, s.at = next.own, next.past, r, time.Now()
		s.mu.Unlock()
		answer <- r
	}()
	timer := time.NewTimer(answerPatience)
	defer timer.Stop()
	select {
	case found = <-answer:
	case <-timer.C:
	}
	return p.orRemembered(found)
}

// orRemembered returns what a look found, or else what the waiter saw.
func (p *Passage) orRemembered(found turn.Report) turn.Report {
	if found.Known {
		return found
	}
	return p.Report()
}

// openToSurvey is a variable for the tests of servers that do not answer.
var openToSurvey = ticketdir.Open

// sight looks which of the tickets that this one waits for are still ahead: a
// newcomer, wherever its number is in its doorway, ends behind us (R2). Those that
// rest are in nobody's way. The report is not known where nobody is ahead, since
// the turn is about to come, or where that cannot be seen.
func (p *Passage) sight(s *sighting) (r turn.Report) {
	own, ahead := p.contender.Standing()
	if len(ahead) == 0 {
		return r
	}
	v, err := openToSurvey(p.cfg.Queue)
	if err != nil {
		return r
	}
	defer v.Close()
	if s.own != own || s.past == nil {
		s.own, s.past = own, map[string]bool{}
	}
	x := p.cfg.examiner(v)
	x.thorough, x.below = true, &own
	var leaving turn.Report // those counted with all locks free
	for _, t := range ahead {
		if s.past[t.Name] {
			continue
		}
		probe, err := x.view.Stat(t.Name)
		t.Number = t.Number.Max(probe.Number)
		if errors.Is(err, fs.ErrNotExist) || own.Before(t) {
			s.past[t.Name] = true
			continue
		}
		if probe.Marked || r.First.State != turn.Inside && r.Ahead < many {
			c, free, inTheWay := x.describe(t)
			if !inTheWay {
				continue
			}
			if c.State == turn.Inside && r.First.State != turn.Inside {
				// Those below that one are out, or it would not be inside (R5): they
				// are just leaving, between two calls, or dead.
				r.Ahead, r.Shared = r.Ahead-leaving.Ahead, r.Shared-leaving.Shared
			}
			if free {
				count(&leaving, t)
			}
			if !r.Known || better(c, r.First) {
				r.First, r.Known = c, true
			}
		}
		count(&r, t)
	}
	return r
}

// count counts a ticket ahead.
func count(r *turn.Report, t queue.Ticket) {
	r.Ahead++
	if t.Shared {
		r.Shared++
	}
}

// better reports whether c is to be named, rather than first, as the one who is in
// the way.
func better(c, first turn.Contender) bool {
	return c.State == turn.Inside || first.State == turn.Dead && c.State != turn.Dead
}

// describe looks at a ticket for display, and reports whether its locks are free, and
// whether it is in anybody's way.
func (x *examiner) describe(t queue.Ticket) (c turn.Contender, free, inTheWay bool) {
	e, err := x.look(t, nil, false)
	defer e.close()
	if err != nil {
		e.verdict = liveness.Verdict{Reason: err.Error()}
	}
	rests := e.marked && e.verdict.State != liveness.Inside
	return x.contender(&e), e.doorway, !e.gone && !rests && !x.below.Before(e.ticket)
}
