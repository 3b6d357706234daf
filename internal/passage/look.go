package passage

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

func (c *Config) examiner(dir directory) examiner {
	return examiner{
		view: files{dir}, queue: &c.Queue, memory: &c.Site.memory, apart: c.openView, mayArrive: c.Site.mayArrive(),
	}
}

func (c *Config) openView() (view, func(), error) {
	v, err := ticketdir.Open(c.Queue)
	if err != nil {
		return nil, nil, err
	}
	return files{v}, v.Close, nil
}

func (p *Passage) examiner() examiner {
	x := p.cfg.examiner(p.dir)
	own := p.contender.Own()
	x.beside, x.below = &own.Number, &own
	return x
}

// Look implements queue.Others.
func (p *Passage) Look(t queue.Ticket, last bool) (queue.Ticket, queue.Standing, error) {
	if !p.timed && !p.dir.OneKernel() {
		p.timed = true
		p.cfg.Site.doorway.Store(int64(time.Since(p.waits)))
	}
	x := p.examiner()
	own := *x.below
	if now, standing, ok := p.glance(t, own); ok {
		return now, standing, nil
	}
	e, err := x.look(t, p.kept.find(t.Name), p.contender.CountBelow() == 1)
	defer p.keep(&e)
	switch {
	case err != nil:
		return p.unseen(t, err)
	case e.gone || own.Before(e.ticket):
		return e.ticket, queue.Gone, nil
	case e.verdict.State == liveness.Resting && !last:
		p.passed = true
		return e.ticket, queue.AtRest, nil
	case e.verdict.Removable() && p.reclaim(&x, &e):
		return e.ticket, queue.Gone, nil
	}
	p.failing = failing{}
	p.noteSwept(&e)
	// The looks at others from here on may close what is kept open, this one too.
	p.keep(&e)
	e.other = nil
	if e.verdict.State == liveness.Unknown && !e.arrived || e.name.Lease > 0 {
		p.startClocks(&x)
	}
	if p.try && p.vain && !p.someInside(&x, &e) {
		// It may have seen us come back, taken us for inside, and be about to give
		// up for that: then nobody would have the lock.
		return e.ticket, queue.Provisional, nil
	}
	// Without a name and inside: its owner is leaving, most likely, and between two
	// calls.
	if e.nameless || e.doorway && (p.dir.OneKernel() || p.arrivedWith(t)) {
		return e.ticket, queue.Provisional, nil
	}
	return e.ticket, queue.Final, nil
}

// glance is a look at the number, and not at the locks, for those who take turns again
// and again: the tickets ahead of them are known, since they stay (R15).
// Most have got in line behind us meanwhile. Those that have not waited or were inside
// a moment ago; that they live still is taken for granted at the first look, and until
// the watch, whose patience is short then, has one look again. It reports whether that
// is all there is to be looked at now.
func (p *Passage) glance(t, own queue.Ticket) (now queue.Ticket, s queue.Standing, ok bool) {
	var alive bool
	if p.looked != t.Name {
		v := p.cfg.Site.memory.lately(t.Name)
		p.looked, p.regular = t.Name, v.Reason != ""
		alive = v.State == liveness.Alive || v.State == liveness.Inside
	}
	p.glanced = false
	if !p.regular || p.try || !p.dir.OneKernel() {
		return t, s, false
	}
	probe, err := p.dir.Stat(t.Name)
	if err != nil {
		return t, s, false
	}
	t.Number = t.Number.Max(probe.Number)
	if own.Before(t) {
		return t, queue.Gone, true
	}
	if !alive || probe.Marked {
		return t, s, false
	}
	if p.kept.find(t.Name) == nil {
		// Should somebody sweep the queue meanwhile, only the open ticket tells that its
		// owner is inside.
		o, err := files{p.dir}.OpenOther(t.Name)
		if err != nil {
			return t, s, false
		}
		p.kept.put(&p.kept.watched, o)
	}
	p.glanced = true
	return t, queue.Final, true
}

// patience is how long to wait after a glance: longer than it mostly takes until the
// turns of so many are over.
func patience(ahead int) time.Duration { return min(time.Duration(4+ahead)*time.Millisecond, aMoment) }

// sweptAfter is how long somebody must have been inside without a name to be
// taken for swept. Who is just leaving is so for microseconds.
const sweptAfter = 20 * time.Millisecond

// noteSwept has those behind wait for a holder whose ticket was swept away, and
// our own with it: they see only ours, and its entry lock tells as much as the
// holder's.
func (p *Passage) noteSwept(e *exam) {
	switch now := time.Now(); {
	case !e.nameless || e.verdict.State != liveness.Inside:
		p.sweptSince = time.Time{}
	case p.sweptSince.IsZero():
		p.sweptSince = now
	case now.Sub(p.sweptSince) >= sweptAfter:
		_, _ = p.dir.Enter() // which finds our name gone, or else does no harm
		p.sweptSince = now.Add(unlimited)
	}
}

// keep keeps an examined ticket open while it is watched, or inside.
func (p *Passage) keep(e *exam) {
	switch {
	case e.other == nil || p.kept.has(e.other):
	case e.ticket.Name == p.watching && !p.try:
		p.kept.put(&p.kept.watched, e.other)
	case e.verdict.State == liveness.Inside && !p.try:
		p.kept.put(&p.kept.inside, e.other)
	default:
		e.other.Close()
	}
}

// arrivedWith reports whether t came at about the same time as this ticket, by
// the clock of the filesystem.
func (p *Passage) arrivedWith(t queue.Ticket) bool {
	return within(p.contender.Own().Number, t.Number, p.cfg.Site.mayArrive())
}

// startClocks has the proofs that take time begin for all the tickets ahead at
// once, or else a row of dead ones would take that time for each.
func (p *Passage) startClocks(x *examiner) {
	if p.spread {
		return
	}
	p.spread = true
	var s standing
	own := p.contender.Own()
	for _, t := range p.contender.Below() {
		head := s.mayEnter(t)
		s.add(t)
		if !own.Conflicts(t) {
			continue
		}
		// What is kept stays as it is: the caller is just looking at one of them.
		if e, _ := x.look(t, p.kept.find(t.Name), head); !p.kept.has(e.other) {
			e.close()
		}
	}
}

// reclaim removes a ticket if it may, and reports whether it is out of the way.
// Where it may not be removed, as another user's in a sticky directory, it is
// passed by only if its process is proven gone and nobody is inside: otherwise
// only the removal makes sure that its owner does not come in.
func (p *Passage) reclaim(x *examiner, e *exam) bool {
	err := x.remove(e)
	if e.verdict.State == liveness.Resting && errors.Is(err, fs.ErrPermission) {
		// Its owner may be gone for good.
		thorough := *x
		thorough.thorough = true
		if again, err := thorough.look(e.ticket, e.other, false); err == nil {
			again.other = e.other
			*e = again
		}
		if e.gone {
			return true
		}
	}
	other := x.contender(e)
	if err == nil {
		p.tell(turn.Event{Step: turn.Reclaimed, Other: other})
		return true
	}
	if !e.verdict.Gone || !p.enterable(e) {
		if errors.Is(err, fs.ErrPermission) {
			e.verdict.Reason += "; this process may not remove its ticket"
			x.memory.decide(e.ticket.Name, e.verdict)
		}
		return false
	}
	p.tell(turn.Event{Step: turn.Skipped, Other: other, Err: err})
	return true
}

// enterable reports whether nobody is inside with a ticket, or an entry lock
// means nothing there.
func (p *Passage) enterable(e *exam) bool {
	if e.other == nil || !e.tells || e.verdict.Expired {
		return true
	}
	held, err := e.other.Entered()
	return err == nil && !held
}

// Report implements turn.Passage.
func (p *Passage) Report() turn.Report {
	first, ahead, shared := p.contender.Ahead()
	if ahead == 0 {
		first = p.contender.Own()
	}
	if first.Name == "" {
		return turn.Report{}
	}
	v, known := p.cfg.Site.memory.verdict(first.Name)
	if ahead > 1 && away(v) {
		first, v, known = p.firstPresent(first, v)
	}
	if ahead == 0 {
		v = liveness.Verdict{State: liveness.Alive, Reason: "this process waits"}
		if p.entered.Load() {
			v = liveness.Verdict{State: liveness.Inside, Reason: "this process holds it"}
		}
		known = true
	}
	if !known {
		v.Reason = "not looked at yet"
	}
	name, _ := ticket.Parse(p.cfg.Queue.Prefix, first.Name)
	c := describe(&p.cfg.Queue, first, name, v)
	if ahead == 0 {
		c.Label = p.cfg.Queue.Label
	}
	return turn.Report{First: c, Known: true, Ahead: ahead, Shared: shared}
}

// firstPresent returns the first of those ahead that is not known to be dead or to rest, and
// so may hold the lock, or else first, with what is known of it.
func (p *Passage) firstPresent(first queue.Ticket, v liveness.Verdict) (queue.Ticket, liveness.Verdict, bool) {
	for _, t := range p.contender.AllAhead() {
		if w, known := p.cfg.Site.memory.verdict(t.Name); !known || !away(w) {
			return t, w, known
		}
	}
	return first, v, true
}

func away(v liveness.Verdict) bool {
	return v.State == liveness.Dead || v.State == liveness.Resting
}

// someInside reports whether e or another one below is inside.
func (p *Passage) someInside(x *examiner, e *exam) bool {
	if e.verdict.State == liveness.Inside {
		return true
	}
	inside := false
	for _, t := range p.contender.Below() {
		if t.Name == e.ticket.Name {
			continue
		}
		o, err := x.look(t, p.kept.find(t.Name), false)
		inside = inside || err == nil && !o.gone && o.ticket.Before(*x.below) && o.verdict.State == liveness.Inside
		p.keep(&o)
	}
	return inside
}

func (p *Passage) path(t queue.Ticket) string { return filepath.Join(p.cfg.Queue.Dir, t.Name) }
