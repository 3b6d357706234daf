package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/wake"
)

const (
	// tryPatience is how long a try waits for a ticket whose owner seems to be
	// in its doorway, or whose death takes until then to prove.
	tryPatience = liveness.Grace + 500*time.Millisecond
	// restarts is how often a ticket that somebody removed before it was
	// witnessed is made again before that is an error.
	restarts = 10
)

// place is one ticket, in the queue and while it is held. It puts the
// algorithm, the directory, the verdicts and the waiting together, and is what
// the goroutines of the process pass on.
type place struct {
	lock      *FileLock // whose options it follows
	own       ticketDir
	contender *queue.Contender
	current   atomic.Pointer[queue.Contender] // contender, for report
	try       bool
	memory    memory
	suspected bool       // all the tickets ahead were looked at
	reached   bool       // the head of the queue
	since     time.Time  // when it came to where it is
	beating   *heartbeat // nil without a lease
	bell      *wake.Bell // for those behind; nil where they need none
	lost      atomic.Bool
}

// ticketDir is what a place needs of ticketdir.Own.
type ticketDir interface {
	queue.Directory
	Name() string
	OneKernel() bool
	Probe(name string) (ticketdir.Probe, error)
	Release(*ticketdir.Probe)
	Reclaim(name string, p *ticketdir.Probe) error
	Beat() error
	Witness() (*os.File, error)
}

// openTicketDir is a variable for tests that stand between the algorithm and
// the directory.
var openTicketDir = func(q ticketdir.Queue) ticketDir { return ticketdir.New(q) }

func (l *FileLock) newPlace() local.Place {
	p := &place{lock: l}
	p.renew()
	return p
}

// renew starts over with a ticket yet to be created.
func (p *place) renew() {
	p.own = openTicketDir(p.lock.queue)
	p.contender = queue.New(p.own, p, p.lock.cfg.plainPeers)
	p.current.Store(p.contender)
}

// Join takes a ticket.
func (p *place) Join() error {
	if err := p.contender.Join(); err != nil {
		return err
	}
	p.since = time.Now()
	p.debug("enqueue")
	if lease := p.lock.cfg.lease; lease > 0 {
		p.beating = startHeartbeat(p.own.Beat, lease, p.lose)
	}
	return nil
}

// tryEnter is enter for those who only try.
func (p *place) tryEnter(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, tryPatience, queue.ErrBusy)
	defer cancel()
	p.try = true
	err := p.enter(ctx)
	p.try = false
	if err != nil && errors.Is(context.Cause(ctx), queue.ErrBusy) && errors.Is(err, ctx.Err()) {
		return queue.ErrBusy
	}
	return err
}

// enter waits until it is the ticket's turn.
func (p *place) enter(ctx context.Context) error {
	err := p.wait(ctx)
	for range restarts {
		if !errors.Is(err, queue.ErrGone) || p.contender.Decided() {
			break
		}
		// The ticket went before it counted: somebody found its owner dead,
		// the directory was replaced, or the filesystem turned out to have no
		// locks. Nobody was let in by it, so make another.
		if err := p.own.Remove(); err != nil && !errors.Is(err, queue.ErrGone) {
			return err
		}
		p.quiet()
		p.renew()
		if err := p.Join(); err != nil {
			return err
		}
		err = p.wait(ctx)
	}
	if err == nil && p.Lost() {
		// It was stopped for so long that others may be about to act on it.
		return fmt.Errorf("%w: %w", ErrLost, errLate)
	}
	if err == nil {
		p.reached, p.since = true, time.Now()
	}
	return err
}

func (p *place) wait(ctx context.Context) error {
	if p.try {
		return p.contender.Try(ctx)
	}
	return p.contender.Wait(ctx)
}

// Resumable reports whether the ticket is as it was before err: a wait that
// was ended keeps its place.
func (p *place) Resumable(err error) bool { return queue.Resumable(err) }

// Leave removes the ticket.
func (p *place) Leave() (left bool, err error) {
	err = p.contender.Leave()
	gone := errors.Is(err, queue.ErrGone)
	if err != nil && !gone {
		return false, err
	}
	p.quiet()
	if !p.reached {
		p.debug("leave", zap.Duration("waited", time.Since(p.since)))
		return true, nil
	}
	if p.lock.debugging() {
		p.debug("release", zap.Duration("held", time.Since(p.since)))
	}
	if gone {
		p.lose(err)
	}
	if p.Lost() {
		return true, ErrLost
	}
	return true, nil
}

// quiet ends what goes on beside a ticket that is removed.
func (p *place) quiet() {
	p.bell.Ring()
	p.bell = nil
	p.beating.stop()
}

// lose marks a held ticket as gone, for a reason.
func (p *place) lose(why error) {
	if p.lost.CompareAndSwap(false, true) {
		p.warn("lost", zap.Error(explain(why)))
	}
}

// Lost reports whether the ticket is known to be gone.
func (p *place) Lost() bool { return p.lost.Load() }

// Look implements queue.Others.
func (p *place) Look(t queue.Ticket) (queue.Ticket, queue.Standing, error) {
	probe, err := p.own.Probe(t.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return t, queue.Gone, nil
	}
	if err != nil {
		return t, queue.Final, nil // in doubt, alive
	}
	defer p.own.Release(&probe)
	if probe.Number.Compare(t.Number) > 0 {
		t.Number = probe.Number
	}
	name, _ := ticket.Parse(p.lock.queue.Prefix, t.Name)
	doorway := unwitnessed(name, &probe)
	if doorway && !p.memory.knows(t.Name) && p.arrivedWith(t) {
		// Most likely its owner is in the doorway, as this one just was. To ask
		// for its process would take longer than that.
		p.memory.evidence(t.Name, name, &probe)
		return t, queue.Provisional, nil
	}
	verdict := p.memory.judge(t.Name, name, &probe)
	switch {
	case verdict.State == liveness.Dead && p.reclaim(t, name, verdict, &probe):
		return t, queue.Gone, nil
	case doorway:
		p.suspectAll()
		return t, queue.Provisional, nil
	default:
		return t, queue.Final, nil
	}
}

// arrivedWith reports whether t came at about the same time as this ticket, by
// the clock of the filesystem.
func (p *place) arrivedWith(t queue.Ticket) bool {
	soonest, ok := t.Number.Add(liveness.Grace)
	return ok && p.contender.Own().Number.Compare(soonest) <= 0
}

// suspectAll has the time that a proof of death may take begin for all the
// tickets ahead at once, or else a row of dead ones would take it for each.
func (p *place) suspectAll() {
	if p.suspected {
		return
	}
	p.suspected = true
	for _, t := range p.contender.AllAhead() {
		if probe, err := p.own.Probe(t.Name); err == nil {
			name, _ := ticket.Parse(p.lock.queue.Prefix, t.Name)
			p.memory.judge(t.Name, name, &probe)
			p.own.Release(&probe)
		}
	}
}

// reclaim removes a dead owner's ticket if it may, and reports whether the
// ticket is out of the way. Where it may not be removed, as another user's in
// a sticky directory, it is passed by, but for one case: that a witness stayed
// free is proof only together with the removal, which an owner that was merely
// slow to take it would notice.
func (p *place) reclaim(t queue.Ticket, name ticket.Name, v liveness.Verdict, probe *ticketdir.Probe) bool {
	err := p.own.Reclaim(t.Name, probe)
	fields := []zap.Field{
		zap.String("dead", t.Name), zap.String("host", name.Host), zap.Int("pid", name.PID),
		zap.String("reason", v.Reason),
	}
	if err != nil {
		p.debug("skip", append(fields, zap.Error(err))...)
		return !v.NeedsRemoval
	}
	p.warn("reclaim", fields...)
	return true
}

// Watch implements queue.Others.
func (p *place) Watch(t queue.Ticket) queue.Watch {
	if p.try {
		return wake.Poll(p.lock.cfg.poll)
	}
	if p.lock.debugging() {
		p.debug("wait", zap.String("for", t.Name))
	}
	name, _ := ticket.Parse(p.lock.queue.Prefix, t.Name)
	local := p.own.OneKernel()
	// Leases end without an event, and plain owners keep nothing open.
	complete := local && name.Lease == 0 && !name.Plain
	w := wake.Later(p.lock.queue.Dir+"/"+t.Name, p.lock.cfg.poll, complete)
	if !local {
		w.Arm()
		return w
	}
	_, ahead := p.contender.Ahead()
	told := false
	if ahead > many && !name.Plain {
		told = w.Listen(name.Nonce, name.PID)
	} else {
		told = w.Arm()
	}
	if p.bell == nil && (ahead >= many || !told) {
		own, _ := ticket.Parse(p.lock.queue.Prefix, p.own.Name())
		p.bell = wake.Hang(own.Nonce)
	}
	return &crowd{Waiter: w, place: p, until: t, owner: name}
}

// debugging guards the calls of debug whose fields cost an allocation where
// everybody passes.
func (l *FileLock) debugging() bool { return l.cfg.log.Core().Enabled(zap.DebugLevel) }

func (p *place) debug(msg string, fields ...zap.Field) { p.log(zap.DebugLevel, msg, fields) }

func (p *place) warn(msg string, fields ...zap.Field) { p.log(zap.WarnLevel, msg, fields) }

func (p *place) log(level zapcore.Level, msg string, fields []zap.Field) {
	if entry := p.lock.cfg.log.Check(level, msg); entry != nil {
		entry.Write(append(fields, zap.String("path", p.lock.path), zap.String("ticket", p.own.Name()))...)
	}
}

// report returns who is first in the queue as seen from this place, and how
// many are ahead of it in other processes, or in other queues of this one. It
// is safe to call while another goroutine waits at the place.
func (p *place) report() (first queue.Ticket, ahead int) {
	c := p.current.Load()
	first, ahead = c.Ahead()
	if ahead == 0 {
		first = c.Own()
	}
	return first, ahead
}
