package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/enginepassage"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/turn"
)

// DefaultEngineLease is the lease of a lock with WithEngine.
const DefaultEngineLease = 10 * time.Second

// WithEngine has the lock stand in e's queue, which may be one of several machines,
// rather than in a directory's. By default it is in a directory.
//
// The path is a name then: it is the same lock wherever it is the same name, once
// cleaned as by path.Clean. Nothing is looked up or created under it on this machine.
//
// There is always a lease, of ten seconds or what WithLease says: Lost is never nil
// while the lock is held, and the context of Do ends when the lock is lost. The owner
// is told before anybody else can enter, but if it was stopped or suspended just then:
// what it does between going on and looking at Lost, Held or the context it may do
// beside another holder.
//
// WithQueueDir, WithFileMode, WithCreateDirs, WithPlainPeers, WithFlockPeers and
// WithFlockPeersFile are not for engines: ErrInvalid. WithLinger means nothing to them.
// Witness and Bequeath fail with errors.ErrUnsupported, since nobody would renew the
// lease. Reap finds nothing to do, since the service does it. Evict takes the lock away
// from its holder, too, who is told as of any loss.
//
// Token needs no WithFencing: each grant has the place's number in the engine's order,
// and its own number within that.
//
// Acquire and TryLock fail with an error that matches engine.ErrUnavailable if the
// service does not answer, and the context's; and ErrLost if a lease ran out in the
// queue. If Unlock fails with engine.ErrUnavailable, the lock is free when its lease
// has run out.
func WithEngine(e engine.Engine) Option {
	return optionFunc(func(c *config) error {
		if e == nil {
			return fmt.Errorf("%w: engine is nil", ErrInvalid)
		}
		c.engine = e
		return nil
	})
}

func newEngineLock(name string, cfg config) (*FileLock, error) {
	if len(cfg.forFiles) > 0 {
		return nil, fmt.Errorf("%w: %s is not for a lock with WithEngine", ErrInvalid, cfg.forFiles[0])
	}
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	if cfg.lease == 0 {
		cfg.lease = DefaultEngineLease
	}
	q, err := cfg.engine.Open(name, engine.Options{Lease: cfg.lease, Poll: cfg.poll, Label: cfg.label})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	l := &FileLock{path: name, cfg: cfg}
	l.passage.Queue.Dir, l.passage.Queue.Prefix = q.ID(), name // which tells queues apart
	l.site = siteOf(l.passage.Queue, name)
	l.passage.Site = &l.site.passages
	l.line = l.site.line(lineKey{lease: cfg.lease, label: cfg.label, bubbled: bubble.Inside()})
	l.engine = &enginepassage.Config{Queue: q}
	l.sharing = l.passage
	l.sharing.Queue.Shared = true
	l.log = newJournal(&cfg, name, &l.passage)
	if len(l.log.sinks) > 0 {
		l.engine.Observe = l.log.observe
	}
	return l, nil
}

// cleanName returns the one spelling of a name in an engine's queues.
func cleanName(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case name == "":
		return "", fmt.Errorf("%w: the name is empty", ErrInvalid)
	case strings.ContainsRune(name, 0):
		return "", fmt.Errorf("%w: the name has a NUL byte", ErrInvalid)
	case name[len(name)-1] == '/', clean == ".":
		return "", fmt.Errorf("%w: the name is a directory's; give the lock a name in it", ErrInvalid)
	case clean == "..", strings.HasPrefix(clean, "../"):
		return "", fmt.Errorf("%w: the name leads out of where names begin", ErrInvalid)
	}
	return clean, nil
}

// first returns who is first in the queue, for the error of one that did not get
// its turn, and false if nobody is.
func (l *FileLock) first(cfg *passage.Config, seen turn.Report) (turn.Contender, bool) {
	if l.engine != nil {
		return seen.First, seen.Known
	}
	return passage.First(cfg, seen)
}

// number gives the grant the engine's token, which costs nothing, or reports false.
func (g *grant) number(p turn.Passage) (ok bool) {
	g.token, ok = p.(*enginepassage.Passage).Number()
	return ok
}

// serviceLimit is how long Inspect and Evict wait for a service that does not answer. It is
// less than Evict waits for anything, so that the error says what it waited for.
const serviceLimit = answerLimit - time.Second

// evictPlace is Evict over an engine.
func (l *FileLock) evictPlace(id string) (Ticket, error) {
	ctx, cancel := context.WithTimeout(context.Background(), serviceLimit)
	defer cancel()
	c, err := enginepassage.Evict(ctx, l.engine, id)
	switch {
	case errors.Is(err, engine.ErrGone):
		return Ticket{}, fmt.Errorf("ticket %s is gone: %w", ticket.Quote(id), fs.ErrNotExist)
	case err == nil && l.engine.Observe != nil:
		l.engine.Observe(turn.Event{Step: turn.Reclaimed, Other: c})
	}
	return newTicket(c), err
}

// contenders returns the queue as one look finds it.
func (l *FileLock) contenders() ([]turn.Contender, error) {
	if l.engine == nil {
		return passage.Inspect(&l.passage)
	}
	ctx, cancel := context.WithTimeout(context.Background(), serviceLimit)
	defer cancel()
	return enginepassage.Inspect(ctx, l.engine)
}

// unavailable is the error of an acquisition that its context ended while the
// service did not answer. It matches engine.ErrUnavailable and the context's.
type unavailable struct {
	after time.Duration
	err   error
}

func (e *unavailable) Error() string {
	return fmt.Sprintf("%v; gave up after %v: %v", engine.ErrUnavailable, roundWait(e.after), e.err)
}

func (e *unavailable) Unwrap() []error { return []error{engine.ErrUnavailable, e.err} }

// Place returns the place in the engine's queue by which l holds the lock now: what
// the engine's own package needs to know of it. The error is an *Error. It matches
// ErrNotLocked if nothing is held through l, ErrLost if it is lost, and
// errors.ErrUnsupported without WithEngine.
func (l *FileLock) Place() (engine.Contender, error) {
	c, err := l.placeHeld()
	if err != nil {
		return c, &Error{Op: "place", Path: l.path, Err: err}
	}
	return c, nil
}

func (l *FileLock) placeHeld() (engine.Contender, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.holds) == 0 {
		return engine.Contender{}, ErrNotLocked
	}
	p, ok := l.holds[len(l.holds)-1].grant.passage.(*enginepassage.Passage)
	switch {
	case !ok:
		return engine.Contender{}, errors.ErrUnsupported
	case p.Lost():
		return engine.Contender{}, ErrLost
	}
	return p.Place(), nil
}
