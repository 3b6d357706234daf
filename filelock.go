// Package filelock is a lock between processes, and between the goroutines of
// each, kept in files beside what it protects. It is held by one at a time, or shared
// by many.
//
// # Guarantees
//
//   - Exclusion: of all contenders for one path, at most one holds the lock, or
//     only such as share it, on every filesystem that shows a process the names it
//     created itself and those created before. Clocks play no part in it.
//   - Order: whoever has taken a place in the queue is served before anyone
//     who arrives later, processes and goroutines alike, unless it does not take
//     its turn.
//   - Recovery: a contender that dies, in whatever way, is passed by. On local
//     filesystems of Linux, so is one that is stopped when its turn has come, or
//     that nothing shows to be there: that costs it its place, and never lets two
//     in. Elsewhere a ticket is removed only when there is proof of its owner's
//     death.
//   - Cancellation: a wait ends when its context does, and leaves nothing.
//
// # Not guaranteed
//
//   - A holder that is stopped for long and then goes on writes without
//     knowing what happened meanwhile. No lock can prevent that; only the
//     resource can, by the tokens of WithFencing.
//   - Tickets must be left alone: who deletes or touches them from outside may
//     let two in. The holder learns of a deletion when it releases (ErrLost).
//     Nor may their directory be renamed or replaced while it is in use:
//     newcomers would queue in another one.
//   - A machine that serves a filesystem to others must not take part beside
//     them: it does not know that it is shared. All contenders must see it
//     through the same kind of mount.
//   - Where a filesystem is shared by several machines, the death of a process
//     on another machine cannot be seen, and its ticket blocks until an
//     operator removes it, or its lease runs out.
//   - Programs that follow the plain rule of the Python package
//     simple-file-lock need WithPlainPeers, those that take a flock need
//     WithFlockPeers, and any others are not excluded.
//   - Two hard links to one file, and two spellings that differ in case only
//     on a filesystem that ignores it, are two locks.
//
// # How
//
// Each contender creates a file of its own beside the target,
//
//	<target>.lock.<hostname>.<pid>.<token>.pid
//
// and the lock goes round in ascending order of the files' modification times.
// The target need not exist, and is never touched, but that WithFlockPeers locks
// it. The algorithm and its proof are in internal/queue.
//
// With WithEngine the queue is another one, that of a service which several machines
// share; what is said of files here is not of it. See package engine.
package filelock

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/enginepassage"
	"github.com/filelock-go/filelock/internal/fence"
	"github.com/filelock-go/filelock/internal/flockpeer"
	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// A FileLock is one handle on the lock of a path. It is safe for use by
// several goroutines, which exclude each other like processes do; so do several
// FileLocks of one path. It must not be copied, and its zero value is not
// usable: see New.
//
// It is no sync.Locker, because acquiring can fail. It needs no closing: when
// the lock is not held, nothing is kept but, for a second or two, an open
// directory that was used more than once and, on Linux after a wait, an inotify
// instance for all locks; and for the time of WithLinger an empty file, if the lock was
// used twice within that.
// The directory is what keeps its filesystem from being unmounted: it is closed at once
// after the first use, half a second to a second after the last of several, or by Close.
//
// It works in bubbles of testing/synctest. A FileLock is for the goroutines of one
// bubble, or for those outside, at a time: to make it in the bubble that uses it is
// best. Waiting for goroutines of the same bubble blocks durably, so that time goes
// on; while others' locks are waited for it stands still or, where they are polled
// for, runs ahead, and leases with it. What a bubble keeps open when it ends stays open until
// the next use outside, or Close.
type FileLock struct {
	path    string
	cfg     config
	site    *site
	line    *line
	peers   *flockpeer.File // nil: there are none
	passage passage.Config
	sharing passage.Config        // the same for those who share it
	engine  *enginepassage.Config // nil: the queue is a directory's
	fence   *fence.Record         // nil without WithFencing
	log     journal

	mu    sync.Mutex
	holds []*hold
	spare atomic.Pointer[hold] // for the next acquisition; nobody else knows of it
}

// New returns a lock for path, which names a file; it need not exist. The path
// is resolved here, once: relative to the working directory, and through
// symbolic links as far as it exists. No file is created, but with
// WithCreateDirs the missing directories are.
//
// The error is an *Error. It matches ErrInvalid for an unusable path or option
// and fs.ErrNotExist for a missing directory; others are the filesystem's.
func New(path string, opts ...Option) (*FileLock, error) {
	l, err := newLock(path, opts)
	if err != nil {
		return nil, &Error{Op: "new", Path: path, Err: err}
	}
	return l, nil
}

func newLock(path string, opts []Option) (*FileLock, error) {
	l, err := newOnlooker(path, opts)
	if err != nil || l.engine != nil { // which is all that it takes
		return l, err
	}
	if l.peers, err = l.cfg.peersOf(l.path); err != nil {
		return nil, err
	}
	l.line = l.site.line(lineKey{
		lease: l.cfg.lease, plainPeers: l.cfg.plainPeers, label: l.cfg.label, peers: l.peers, bubbled: bubble.Inside(),
	})
	if l.cfg.fencing {
		l.fence = l.site.record(l.passage.Queue)
	}
	l.sharing = l.passage
	l.sharing.Queue.Shared = true
	l.sharing.Queue.Prepare()
	return l, nil
}

// newOnlooker returns what it takes to look at a queue and to remove tickets from it, as
// Inspect, Reap and Evict do. Nothing can be acquired through it.
func newOnlooker(path string, opts []Option) (*FileLock, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if cfg.engine != nil {
		return newEngineLock(path, cfg)
	}
	target, err := canonical(path)
	if err != nil {
		return nil, err
	}
	q, err := cfg.queueOf(target)
	if err != nil {
		return nil, err
	}
	q.Prepare()
	l := &FileLock{path: target, cfg: cfg, site: siteOf(q, target)}
	l.site.passages.Find(q.Dir)
	l.passage = passage.Config{
		Queue: q, Poll: cfg.poll, Lease: cfg.lease, PlainPeers: cfg.plainPeers, Linger: cfg.linger,
		Site: &l.site.passages, OnWatch: deadlocks.arm,
	}
	l.log = newJournal(&cfg, target, &l.passage)
	if len(l.log.sinks) > 0 {
		l.passage.Observe = l.log.observe
	}
	return l, nil
}

// Path returns the target's path, absolute and with its symbolic links
// resolved.
func (l *FileLock) Path() string { return l.path }

// Close gives up at once what is kept for a while after the last use: a ticket that
// rests (WithLinger), and the open directory, so that its filesystem can be unmounted.
// Nobody has to call it, and the lock can be used after it as before. What is held
// stays held, and what other FileLocks of this path hold, too.
//
// The error is an *Error, the filesystem's, if a ticket could not be removed. It is
// tried again in the background, and is in nobody's way.
func (l *FileLock) Close() error {
	if l.engine != nil {
		return nil // what engines keep is theirs to close
	}
	err := l.site.passages.GiveUp()
	ticketdir.CloseDir(l.passage.Queue.Dir)
	if l.fence != nil {
		l.fence.Close()
	}
	if err != nil {
		return &Error{Op: "close", Path: l.path, Err: err}
	}
	return nil
}

// Held reports whether the lock is held through l and not known to be lost.
// It never blocks.
func (l *FileLock) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.holds) > 0 && !l.holds[len(l.holds)-1].grant.passage.Lost()
}

// Acquire waits for the lock and takes it. It returns nil when it is held, to
// be given back with Unlock. It blocks until then, or until ctx is done or the
// time of WithTimeout has passed; a context that is done already loses even if
// the lock is free.
//
// If somebody was ahead, the error is a *BusyError. Any other is an *Error,
// which matches ErrDeadlock, ErrNoOwner, ErrInvalid (nil context), ErrLost (the
// ticket was taken away again and again), ErrUnanswered (together with the
// context's error: the filesystem did not answer) or errors.ErrUnsupported
// (WithLease), or wraps the filesystem's, such as fs.ErrPermission, at once.
// After any error nothing is held and the own ticket is gone; if it could not be
// removed, the error says that too, and it is tried again in the background.
func (l *FileLock) Acquire(ctx context.Context) error {
	_, err := l.acquire(ctx, request{})
	return err
}

// TryLock takes the lock if it is free. Otherwise it fails with a *BusyError
// that matches ErrLocked: it never waits in the queue and never jumps it. Of
// several that try a free lock at once exactly one succeeds.
//
// It returns within the time of a few system calls, save for two cases: while
// the first in the queue may be dead but the proof takes a second, and, where
// other kernels take part (network filesystems, FUSE, and all systems but
// Linux), while others have arrived within the last second. Then it waits at
// most a second and a half, or somewhat longer where it took long to get in line.
// Where the filesystem does not answer it gives up after eight seconds:
// ErrUnanswered.
//
// A reentrant lock needs TryAcquire, since this names no owner: ErrNoOwner.
func (l *FileLock) TryLock() error { return l.TryAcquire(context.Background()) }

// TryAcquire is TryLock for the owner that ctx names. If ctx is done, it fails
// with the context's error.
func (l *FileLock) TryAcquire(ctx context.Context) error {
	_, err := l.acquire(ctx, request{try: true})
	return err
}

// Unlock gives back what the last Acquire, TryLock or Hold through l took, shared or
// not. Any goroutine may call it; each call takes one hold. (Do not mix it with Hold's
// release on one FileLock.)
//
// A directory that was used before stays open for up to a second, and a ticket may rest
// in it (WithLinger): who unmounts the filesystem before that calls Close first.
//
// It returns within the time of a few system calls, or after five seconds where
// the filesystem does not answer. The error is an *Error. It matches
// ErrNotLocked if nothing is held through l, ErrLost if the lock was lost
// meanwhile, and ErrUnanswered; others are the filesystem's. Whatever it is,
// the lock is not held any more: what could not be removed is tried again in
// the background, and the error says what is left.
func (l *FileLock) Unlock() error {
	l.mu.Lock()
	n := len(l.holds) - 1
	if n < 0 {
		l.mu.Unlock()
		return &Error{Op: "release", Path: l.path, Err: ErrNotLocked}
	}
	h := l.holds[n]
	l.holds = l.holds[:n]
	l.mu.Unlock()
	last, err := l.release(h)
	if last && !h.named && h.grant.owner == nil {
		l.spare.Store(h) // nobody knows of it any more, nor of its grant
	}
	return err
}

// Hold is Acquire, but what it takes is given back by the function it returns,
// exactly and once: further calls of release do nothing and return what the
// first one did. See Unlock for its errors.
func (l *FileLock) Hold(ctx context.Context) (release func() error, err error) {
	return l.hold(ctx, request{named: true})
}

func (l *FileLock) hold(ctx context.Context, r request) (release func() error, err error) {
	h, err := l.acquire(ctx, r)
	if err != nil {
		return nil, err
	}
	return sync.OnceValue(func() error {
		_, err := l.take(h)
		return err
	}), nil
}

// Do calls fn while the lock is held, and gives it back when fn returns or
// panics. It returns the error of the acquisition, or those of fn and of the
// release, joined. With WithLease, fn's context ends with ErrLost as its cause
// if the lock is lost.
//
// fn's context names an owner, ctx's or else a new one: acquiring the same lock
// with it again fails with ErrDeadlock, rather than to wait for itself.
func (l *FileLock) Do(ctx context.Context, fn func(context.Context) error) error {
	return l.do(ctx, fn, request{named: true})
}

func (l *FileLock) do(ctx context.Context, fn func(context.Context) error, r request) (err error) {
	var own *ownerContext
	if ctx != nil && ownerOf(ctx) == nil {
		own = &ownerContext{Context: ctx}
	}
	r.owned = own != nil
	h, err := l.acquire(ctx, r)
	if err != nil {
		return err
	}
	if own != nil {
		h.grant.adopt(&own.owner)
		ctx = own
	}
	held, end := h.whileHeld(ctx, ErrLost)
	defer func() {
		end()
		last, failure := l.take(h)
		err = errors.Join(err, failure)
		if last && own != nil {
			l.spare.Store(h)
		}
	}()
	return fn(held)
}

// request is how to acquire.
type request struct {
	try    bool
	shared bool
	named  bool // the caller gives back this very hold
	owned  bool // the caller makes an owner for it, whom nobody knows yet
	// notice tells the caller of the wait; nil: nobody asks.
	notice *notice
}

// acquire makes a hold.
func (l *FileLock) acquire(ctx context.Context, r request) (*hold, error) {
	if l.cfg.onWait != nil && !r.try && ctx != nil {
		return l.acquireTold(ctx, r)
	}
	return l.pass(ctx, r)
}

// pass is acquire, with somebody who is told of the wait, or nobody.
func (l *FileLock) pass(ctx context.Context, r request) (*hold, error) {
	try, op := r.try, r.op()
	if ctx == nil {
		return nil, &Error{Op: op, Path: l.path, Err: errNilContext}
	}
	if ctx.Err() != nil {
		return nil, &Error{Op: op, Path: l.path, Err: reason(ctx)}
	}
	owner := ownerOf(ctx)
	if l.cfg.reentrant && owner == nil && !r.owned {
		return nil, &Error{Op: op, Path: l.path, Err: ErrNoOwner}
	}
	if l.cfg.timeout > 0 && !try {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, l.cfg.timeout, ErrTimeout)
		defer cancel()
	}
	if try && !l.site.passages.Prompt() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, tryLimit)
		defer cancel()
	}
	var began time.Time
	if try || ctx.Done() != nil || l.log.debugging() {
		began = time.Now() // else nobody asks how long it waited
	}
	h := l.newHold()
	own := h.grant
	*own = grant{
		try: try, owner: owner, nameless: owner == nil && !r.owned, reentrant: l.cfg.reentrant, batch: l.cfg.batch,
		line: l.line, peers: l.peers, cfg: l.passages(r.shared), engine: l.engine, notice: r.notice,
	}
	if r.notice != nil {
		r.notice.follow(l.line, own)
	}
	g, err := own.claim(ctx)
	if g == own {
		err = l.enter(ctx, g, began)
	}
	if err != nil {
		return nil, l.failure(ctx, op, own, began, err)
	}
	h.grant, h.named, own.notice = g, r.named, nil
	l.mu.Lock()
	l.holds = append(l.holds, h)
	l.mu.Unlock()
	return h, nil
}

func (r request) op() string {
	switch {
	case r.try && r.shared:
		return "try shared"
	case r.try:
		return "try"
	case r.shared:
		return "acquire shared"
	default:
		return "acquire"
	}
}

// passages is the config for passages of a kind.
func (l *FileLock) passages(shared bool) *passage.Config {
	if shared {
		return &l.sharing
	}
	return &l.passage
}

// newHold returns a hold with a grant of its own.
func (l *FileLock) newHold() *hold {
	if h := l.spare.Swap(nil); h != nil {
		h.uses++
		return h
	}
	own := &struct { // allocated together
		hold
		grant
	}{}
	own.hold.grant = &own.grant
	return &own.hold
}

// tryLimit is how long a try waits for a filesystem that does not answer: longer
// than a try takes on one that does.
const tryLimit = 8 * time.Second

// enter takes the lock for a new grant.
func (l *FileLock) enter(ctx context.Context, g *grant, began time.Time) error {
	p, err := l.line.take(ctx, g)
	for err == nil && l.engine != nil && !g.number(p) {
		_ = l.line.Release(p, 0) // it has no tokens left
		p, err = l.line.take(ctx, g)
	}
	if err == nil && l.fence != nil {
		p, err = l.fenced(ctx, g, p)
	}
	g.settle(p)
	if err == nil && l.log.debugging() {
		l.log.acquired(p, time.Since(began))
	}
	return err
}

// take acquires by the line.
func (l *line) take(ctx context.Context, g *grant) (turn.Passage, error) {
	if g.try {
		return l.Try(ctx, g)
	}
	return l.Acquire(ctx, g)
}

// failure makes an acquisition's error.
func (l *FileLock) failure(ctx context.Context, op string, g *grant, began time.Time, err error) error {
	var leaving *local.LeaveError
	if errors.As(err, &leaving) {
		return errors.Join(l.busy(ctx, op, g, began, leaving.Failure), &Error{Op: "release", Path: l.path, Err: leaving.Err})
	}
	return l.busy(ctx, op, g, began, err)
}

// busy makes a *BusyError if somebody was ahead, or else an *Error.
func (l *FileLock) busy(ctx context.Context, op string, g *grant, began time.Time, err error) error {
	switch {
	case errors.Is(err, turn.ErrBusy):
		err = ErrLocked
	case errors.Is(err, engine.ErrUnavailable) && ctx.Err() != nil && !errors.Is(err, ErrLost):
		return &Error{Op: op, Path: l.path, Err: &unavailable{after: time.Since(began), err: reason(ctx)}}
	case errors.Is(err, turn.ErrUnanswered) && ctx.Err() != nil:
		return &Error{Op: op, Path: l.path, Err: &waitEnded{err: reason(ctx), cause: turn.ErrUnanswered}}
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		err = reason(ctx)
	default:
		return &Error{Op: op, Path: l.path, Err: explain(err)}
	}
	var seen turn.Report
	if g.seen != nil {
		seen = *g.seen
	}
	if l.engine != nil && seen.Ahead == 0 {
		return &Error{Op: op, Path: l.path, Err: err} // it ended before anybody was asked
	}
	busy := &BusyError{
		Op: op, Path: l.path, Ahead: seen.Ahead, Waited: time.Since(began), Deadlock: g.circle, Err: err, shared: g.Shared(),
	}
	if seen.First.FlockPeer {
		busy.Holder = newTicket(seen.First)
		busy.Holder.fillOwner(nil)
	} else if first, ok := l.first(g.cfg, seen); ok {
		busy.Holder = newTicket(first)
		busy.Holder.fillOwner(nil)
	}
	return busy
}

// take releases h if it is still held through l.
func (l *FileLock) take(h *hold) (last bool, err error) {
	l.mu.Lock()
	i := slices.Index(l.holds, h)
	if i < 0 {
		l.mu.Unlock()
		return false, &Error{Op: "release", Path: l.path, Err: ErrNotLocked}
	}
	l.holds = slices.Delete(l.holds, i, i+1)
	l.mu.Unlock()
	return l.release(h)
}

// release gives back a hold that was taken out of l's, and reports whether it was
// the last one of its grant.
func (l *FileLock) release(h *hold) (last bool, err error) {
	last, err = h.grant.release()
	if err != nil {
		err = &Error{Op: "release", Path: l.path, Err: err}
	}
	return last, err
}
