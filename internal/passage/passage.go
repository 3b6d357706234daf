// Package passage is one contender's way through a queue of ticket files. It
// puts together the algorithm (queue), the directory (ticketdir), what evidence
// about others means (liveness) and the waiting (wake).
//
// From a call down to the file and back:
//
//	Passage.Wait    until it is our turn, within the context's time (bounded.go)
//	  round         one ticket's attempt; if the ticket is taken away, another
//	    queue       the algorithm: doorway, wait for each ticket ahead, enter
//	      Look      what a ticket ahead means: look at it (exam.go), judge it
//	                with what is remembered (memory.go), remove it if it is dead
//	      Watch     wait for the nearest to change (watch.go), and now and then
//	                for what no event tells: stalled and dead owners (patrol.go)
//	  Survey        who is ahead, for those who want to see it meanwhile (survey.go)
//	      ticketdir the files
//	Passage.Leave   remove the ticket; what fails is tried again (leave.go)
package passage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/internal/lease"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

const (
	// tryPatience is how long a try waits for tickets whose owners seem to be in
	// their doorway, or whose death takes until then to prove. It counts from the
	// first wait on: what the try itself has to do, as removing thousands of dead
	// tickets, or a slow server's answers, is no reason to call the lock busy.
	tryPatience = liveness.Grace + 500*time.Millisecond
	// mostRestarts is how often a ticket may be taken away within restartSpan
	// before that is an error: then it is no mistake of somebody's.
	mostRestarts = 10
	restartSpan  = 10 * time.Second
)

// Config is what the passages of one lock have in common.
type Config struct {
	Queue      ticketdir.Queue
	Poll       time.Duration
	Lease      time.Duration
	PlainPeers bool
	Linger     time.Duration
	Site       *Site
	// Observe is told of each step, unless it is nil.
	Observe func(turn.Event)
	// OnWatch is called whenever a passage begins to watch a ticket ahead, unless it is
	// nil. It must not block.
	OnWatch func()
}

// Site is what all passages of this process through one queue share.
type Site struct {
	memory Memory
	// prompt: the directory is known to be on a filesystem that this kernel alone
	// mounts, which answers without asking anybody.
	prompt atomic.Bool
	// doorway is how long it took the last passage to get in line, where that
	// takes messages to a server: others take about as long.
	doorway atomic.Int64
	rest    rest
	// unanswered is how many calls go on that nobody waits for any more.
	unanswered atomic.Int32
}

// Find notes what kind of filesystem the queue's directory is on, so that the first
// passage knows it too.
func (s *Site) Find(dir string) {
	if !s.prompt.Load() && ticketdir.OneKernel(dir) {
		s.prompt.Store(true)
	}
}

// Prompt reports whether the filesystem is known to answer without asking a
// server.
func (s *Site) Prompt() bool { return s.prompt.Load() }

// mayArrive is how long after it was first seen a ticket's owner may still be in
// its doorway, where nothing tells that it is behind it.
func (s *Site) mayArrive() time.Duration {
	return min(max(liveness.Grace, arrivals*time.Duration(s.doorway.Load())), longestArrival)
}

const (
	// arrivals is how many times as long as we others may take to get in line.
	arrivals = 3
	// longestArrival is for a server that has only just begun to answer again.
	longestArrival = 3 * time.Second
)

// TicketDir is what a passage needs of ticketdir.Own.
type TicketDir interface {
	queue.Directory
	directory
	Name() string
	Entries() bool
	Beat() error
	Witness() (*os.File, error)
	Quit() error
	Again(q ticketdir.Queue) *ticketdir.Own
	MayRest() bool
	Shared() bool
	Bequeath() (heirs bool, err error)
	Tidied() bool
}

// Open returns a ticket yet to be created; after is the one it comes after, if
// that was taken away. It is a variable for tests that stand between the
// algorithm and the directory.
var Open = func(q *ticketdir.Queue, after TicketDir) TicketDir {
	if after != nil {
		return after.Again(*q)
	}
	return ticketdir.New(*q)
}

// Passage is one contender, on its way or inside. It implements turn.Passage
// and what else package turn knows of one.
type Passage struct {
	cfg *Config

	*place
	*way         // nil for one that comes back to its place and is let in at once
	resumes bool // the place rested, and has yet to be come back to
	resumed bool // that let it in at once
	vain    bool // that did not: others may have taken it for inside
	ofUse   bool // the place that rested was there
	rested  bool // it rests now, and may be another's
	try     bool
	beating atomic.Pointer[lease.Heartbeat] // nil without a lease
	since   time.Time                       // when it came to where it is
	entered atomic.Bool
	lost    atomic.Bool

	onWait   atomic.Pointer[func()] // see OnWait
	sighting atomic.Pointer[sighting]

	mu        sync.Mutex  // for held, and for abandoned to become true
	held      TicketDir   // while it is inside, the ticket; for Witness
	abandoned atomic.Bool // nobody waits for its calls any more; see bounded.go
}

// way is what a passage knows on its way through the queue. It is more than half of
// what there is to allocate.
type way struct {
	unfit      *place     // one of the other kind that rested, to be removed first
	bell       *wake.Bell // for those behind; nil where they need none
	kept       kept       // others' tickets that stay open
	looked     string     // the name of the ticket that was looked at last
	regular    bool       // and it was known before
	glanced    bool       // and that was a glance
	watching   string     // the name of the ticket that is watched
	patient    time.Time  // until when a try waits for others; zero: it has not waited yet
	spread     bool       // the clocks of all ahead are running
	reaped     bool       // the departed ahead were removed
	passed     bool       // one that rests was passed by
	again      bool       // the last look failed: look again at the poll interval
	timed      bool       // it is known how long its doorway took
	patrolAt   time.Time  // when patrol is due
	sweptSince time.Time  // since when one without a name has been inside ahead of us
	failing    failing
	waits      time.Time // when it began to wait
	restarts   []time.Time
}

// close closes others' tickets.
func (w *way) close() {
	if w != nil {
		w.kept.close()
	}
}

var (
	_ turn.Passage    = (*Passage)(nil)
	_ turn.Witnessed  = (*Passage)(nil)
	_ turn.Bequeather = (*Passage)(nil)
	_ turn.Requeuer   = (*Passage)(nil)
	_ turn.Observable = (*Passage)(nil)
)

// New returns a passage that has yet to join.
func New(cfg *Config) *Passage {
	back, unfit := cfg.Site.comeBack(cfg)
	if back != nil {
		p := &Passage{cfg: cfg, place: back, resumes: true}
		p.contender.Bind(p)
		return p
	}
	anew := &struct { // allocated together
		passage Passage
		way     way
		place   place
	}{}
	p := &anew.passage
	p.cfg, p.way, p.place = cfg, &anew.way, &anew.place
	p.unfit, p.dir = unfit, Open(&cfg.Queue, nil)
	p.contender.Init(p.dir, p, cfg.PlainPeers)
	if cfg.Queue.Shared {
		p.contender.Share()
	}
	return p
}

// renew starts over with a ticket yet to be created.
func (p *Passage) renew() {
	p.dir = Open(&p.cfg.Queue, p.dir)
	p.contender.Reset(p.dir)
	p.spread, p.reaped = false, false
}

// Join implements turn.Passage.
func (p *Passage) Join(ctx context.Context) error {
	if p.resumes {
		return p.comeBack(ctx)
	}
	if p.unfit != nil {
		_ = p.unfit.leave()
		p.unfit = nil
	}
	if p.prompt(ctx) {
		return p.join(ctx)
	}
	if err := p.cfg.Site.spare(ctx); err != nil {
		p.abandoned.Store(true) // nothing has begun
		return err
	}
	joined := false
	err := p.bounded(ctx, func(ctx context.Context) error {
		err := p.join(ctx)
		joined = err == nil
		return err
	})
	if err != nil && !p.abandoned.Load() && joined {
		_ = p.Leave() // it came just too late
	}
	return err
}

func (p *Passage) join(context.Context) error {
	if err := p.contender.Join(); err != nil {
		return err
	}
	p.timed = false
	if prompt := p.dir.OneKernel(); prompt != p.cfg.Site.prompt.Load() {
		p.cfg.Site.prompt.Store(prompt)
	}
	p.since = time.Now()
	if p.cfg.mayRest() && p.dir.MayRest() && p.cfg.Site.lingers(p.cfg.Linger, p.since) {
		p.contender.MayRest()
	}
	if p.cfg.Observe != nil {
		p.tell(turn.Event{Step: turn.Enqueued})
	}
	if p.cfg.Lease > 0 {
		p.beating.Store(lease.Start(beatOf(p.dir), p.cfg.Lease, p.lose))
	}
	return nil
}

// comeBack joins by the place that rested.
func (p *Passage) comeBack(ctx context.Context) (err error) {
	if p.doubted {
		p.doubted = false
		began := time.Now()
		defer func() { p.cfg.Site.lookedAgain(time.Since(began)) }()
	}
	p.resumed, err = p.contender.Resume()
	p.vain, p.ofUse = !p.resumed, err == nil
	if !p.resumed {
		p.way = new(way)
	}
	if err != nil {
		p.cfg.Site.restedInVain()
		if err = p.anew(ctx); err != nil {
			p.unheard(p.remove()) // nobody leaves who has not joined
		}
		return err
	}
	if p.cfg.Observe != nil {
		p.since = time.Now()
		p.tell(turn.Event{Step: turn.Enqueued})
	}
	return nil
}

// beatOf returns what renews the lease of a ticket.
func beatOf(dir TicketDir) func() error {
	return func() error {
		err := dir.Beat()
		if errors.Is(err, queue.ErrGone) || errors.Is(err, queue.ErrMoved) {
			return fmt.Errorf("%w: %w", lease.ErrOver, err)
		}
		return err
	}
}

// Wait implements turn.Passage.
func (p *Passage) Wait(ctx context.Context) error {
	p.try = false // whoever tried may have left its place to us
	if p.prompt(ctx) {
		return p.wait(ctx)
	}
	return p.ended(p.bounded(ctx, p.wait))
}

// ended is the end of a bounded wait. Success that came too late is none.
func (p *Passage) ended(err error) error {
	if err != nil && !p.abandoned.Load() {
		p.entered.Store(false)
	}
	return err
}

// Try implements turn.Passage.
func (p *Passage) Try(ctx context.Context) error {
	if p.try = true; p.way != nil {
		p.patient = time.Time{}
	}
	err := p.ended(p.bounded(ctx, p.wait))
	if errors.Is(err, queue.ErrBusy) {
		return turn.ErrBusy
	}
	return err
}

// wait goes through the queue, with as many tickets as it takes: one that was
// taken away lets nobody in, and is made again at the tail (R13).
func (p *Passage) wait(ctx context.Context) error {
	if p.resumed {
		p.resumed = false
		p.inside()
		return nil
	}
	if p.way == nil {
		// It was let in at once, but too late for whoever waited, and kept its place.
		p.way = new(way)
	}
	p.waits = time.Now()
	for {
		err := p.round(ctx)
		if err == nil && len(p.restarts) > 0 {
			err = p.unswept()
		}
		if err == nil && p.Lost() {
			// It was stopped for so long that others may be about to act on it.
			err = fmt.Errorf("%w: %w", queue.ErrGone, lease.ErrLate)
		}
		if err == nil {
			p.inside()
			return nil
		}
		if !errors.Is(err, queue.ErrGone) && !errors.Is(err, queue.ErrMoved) {
			return err
		}
		if err := p.restart(ctx, err); err != nil {
			return err
		}
	}
}

func (p *Passage) round(ctx context.Context) error {
	if p.try {
		return p.contender.Try(ctx)
	}
	return p.contender.Wait(ctx)
}

// unswept makes sure, of one who has started anew, that the holder from before
// is not inside any more: it may have been swept away only after the new ticket
// was made. Then the new one is no good either.
func (p *Passage) unswept() error {
	swept, err := p.kept.swept()
	if err == nil && swept {
		err = queue.ErrGone
	}
	return err
}

// inside notes that it is our turn.
func (p *Passage) inside() {
	p.way.close()
	if p.cfg.Observe != nil {
		p.since = time.Now()
	}
	p.setHeld(p.dir)
	p.entered.Store(true)
}

func (p *Passage) setHeld(dir TicketDir) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = dir
}

// restart takes another ticket, for a reason.
func (p *Passage) restart(ctx context.Context, why error) error {
	if p.abandoned.Load() {
		return why // nobody waits for it any more
	}
	p.beating.Load().Stop()
	// Whoever swept the queue removed the holder's ticket too: nobody who comes
	// now sees that one, but we have it open. Our own stays as it is meanwhile, for
	// those behind who have only ours.
	p.kept.leave()
	if err := p.kept.awaitSwept(ctx); err != nil {
		return err
	}
	now := time.Now()
	p.restarts = append(p.restarts, now)
	if n := len(p.restarts); n > mostRestarts {
		if now.Sub(p.restarts[0]) < restartSpan {
			return fmt.Errorf("%w, %d times within %v", why, mostRestarts, restartSpan)
		}
		p.restarts = p.restarts[1:]
	}
	p.tell(turn.Event{Step: turn.Restarted, Err: why})
	return p.anew(ctx)
}

// anew removes the ticket and takes another one.
func (p *Passage) anew(ctx context.Context) error {
	if err := p.dir.Remove(); err != nil && !errors.Is(err, queue.ErrGone) {
		return err
	}
	p.quiet()
	p.lost.Store(false) // with a ticket that lets nobody in
	p.renew()
	return p.join(ctx)
}

// quiet ends what goes on beside a ticket that is removed.
func (p *Passage) quiet() {
	if p.way != nil {
		p.bell.Ring()
		p.bell = nil
	}
	p.beating.Load().Stop()
}

// Resumable implements turn.Passage: a wait that was ended keeps its place.
func (p *Passage) Resumable(err error) bool {
	return !p.abandoned.Load() && (errors.Is(err, turn.ErrBusy) || queue.Resumable(err))
}

// lose marks a held ticket as gone, for a reason.
func (p *Passage) lose(why error) {
	if p.lost.CompareAndSwap(false, true) {
		p.tell(turn.Event{Step: turn.LostTurn, Err: why, Inside: p.entered.Load()})
	}
}

// Lost implements turn.Passage.
func (p *Passage) Lost() bool { return p.lost.Load() }

// Losing implements turn.Passage.
func (p *Passage) Losing() <-chan struct{} { return p.beating.Load().Lost() }

// Ticket returns the name of the own ticket, "" before there is one. It is safe to call
// at any time.
func (p *Passage) Ticket() string { return p.contender.Own().Name }

// tell tells the observer.
func (p *Passage) tell(e turn.Event) {
	if p.cfg.Observe != nil {
		e.ID = p.dir.Name()
		p.cfg.Observe(e)
	}
}
