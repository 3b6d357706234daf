package filelock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/ticket"
)

// A Claim is one of the locks that AcquireAll takes. A *FileLock is a claim to hold
// its lock exclusively, and what its Shared returns is one to share it.
type Claim interface{ claim() claim }

type claim struct {
	lock   *FileLock
	shared bool
}

func (c claim) claim() claim { return c }

func (l *FileLock) claim() claim { return claim{lock: l} }

// Shared returns the claim to share the lock, for AcquireAll. It acquires nothing.
func (l *FileLock) Shared() Claim { return claim{lock: l, shared: true} }

// Claims returns the claims to hold these locks exclusively, for AcquireAll, where there
// is a slice of them: AcquireAll(ctx, Claims(locks...)...). It acquires nothing.
func Claims(locks ...*FileLock) []Claim {
	claims := make([]Claim, len(locks))
	for i, l := range locks {
		claims[i] = l
	}
	return claims
}

// AcquireAll waits for several locks and takes them, all or none. It returns nil as
// its error when all are held, to be given back by release: in the reverse order,
// exactly and once, as with Hold. Whatever order they are named in, they are taken
// in one that is the same for everybody, so that those who take their locks this
// way do not wait for each other in a circle. (It is the order of the paths' last
// elements, then of their directories. So those who see a directory under another
// path, as in a container, have the same order for files of different names.)
//
// Several claims to one path count once: the first exclusive one, or else the first. The
// others' FileLocks are not held by it. The same path with another WithQueueDir is
// another lock.
//
// It blocks like Acquire. All of it has the shortest time of the locks' WithTimeouts.
// While it waits for one it holds those before. If ctx names an owner, all are
// this owner's; if it holds one of them already, and may not acquire it again, that is
// ErrDeadlock at once.
//
// The error is that of the lock that was not to be had, which it names, as Acquire
// returns it; the Waited of a *BusyError is the time that all of them took. If one that
// it has is lost before it has all (WithLease), it waits no longer: that is ErrLost.
// After any error nothing is held; if something could not be given back, the error says
// that too. Nor is anything held after a panic (WithOnWait). Release returns the errors
// of all, joined; see Unlock.
func AcquireAll(ctx context.Context, locks ...Claim) (release func() error, err error) {
	return releaseOf(acquireAll(ctx, locks, request{named: true}))
}

// TryAcquireAll is AcquireAll for those who do not wait: it takes the locks if all
// are free, and otherwise fails as TryAcquire does. If several do so at once with
// locks that are free, at least one succeeds.
func TryAcquireAll(ctx context.Context, locks ...Claim) (release func() error, err error) {
	return releaseOf(acquireAll(ctx, locks, request{named: true, try: true}))
}

// DoAll calls fn while all the locks are held, and gives them back when fn returns
// or panics. It takes them as AcquireAll does, and hands fn a context as Do does:
// it names an owner, and ends with ErrLost as its cause if one of the locks is lost
// (WithLease).
func DoAll(ctx context.Context, fn func(context.Context) error, locks ...Claim) (err error) {
	if ctx != nil && ownerOf(ctx) == nil {
		ctx = ContextWithOwner(ctx)
	}
	held, err := acquireAll(ctx, locks, request{named: true})
	if err != nil {
		return err
	}
	ctx, end := held.whileHeld(ctx)
	defer func() {
		end()
		err = errors.Join(err, held.release())
	}()
	return fn(ctx)
}

// holding is a lock held by a call of AcquireAll.
type holding struct {
	lock *FileLock
	hold *hold
}

// holdings are in the order in which they were taken.
type holdings []holding

func releaseOf(held holdings, err error) (release func() error, _ error) {
	if err != nil {
		return nil, err
	}
	return sync.OnceValue(held.release), nil
}

// release gives all back, whatever comes of any.
func (hs holdings) release() error {
	var errs []error
	for _, h := range slices.Backward(hs) {
		_, err := h.lock.take(h.hold)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// whileHeld is hold.whileHeld for all, with ErrLost.
func (hs holdings) whileHeld(ctx context.Context) (held context.Context, end func()) {
	ends := make([]func(), len(hs))
	for i, h := range hs {
		ctx, ends[i] = h.hold.whileHeld(ctx, ErrLost)
	}
	return ctx, func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
}

// lostMeanwhile ends the waits of a call that has lost what it took before. They fail with
// it alone, and not with the error of the context by which they end: the caller's goes on.
type lostMeanwhile struct{ path string }

func (e *lostMeanwhile) Error() string { return ticket.Quote(e.path) + " was lost meanwhile" }

func (e *lostMeanwhile) Unwrap() error { return ErrLost }

// lost returns the error of an acquisition one of whose locks is lost by now, or nil.
func (hs holdings) lost(op string) error {
	for _, h := range hs {
		if h.hold.grant.passage.Lost() {
			return &Error{Op: op, Path: h.lock.path, Err: ErrLost}
		}
	}
	return nil
}

func acquireAll(ctx context.Context, locks []Claim, r request) (_ holdings, err error) {
	op := r.op()
	if ctx == nil {
		return nil, &Error{Op: op, Err: errNilContext}
	}
	if ctx.Err() != nil {
		return nil, &Error{Op: op, Err: reason(ctx)}
	}
	claims, err := inOrder(locks)
	if err != nil {
		return nil, &Error{Op: op, Err: err}
	}
	if err := refused(ctx, claims, r); err != nil {
		return nil, err
	}
	if limit := shortest(claims); limit > 0 && !r.try {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, ErrTimeout)
		defer cancel()
	}
	began := time.Now()
	held := make(holdings, 0, len(claims))
	defer func() {
		// Deferred, since who is told of a wait may panic (WithOnWait).
		if err == nil && len(held) == len(claims) {
			return
		}
		if failed := held.release(); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	for _, c := range claims {
		r.shared = c.shared
		h, err := c.lock.acquire(ctx, r)
		if err != nil {
			if busy := (*BusyError)(nil); errors.As(err, &busy) {
				busy.Waited = time.Since(began)
			}
			return nil, err
		}
		held = append(held, holding{c.lock, h})
		var end func()
		ctx, end = h.whileHeld(ctx, &lostMeanwhile{c.lock.path}) // of the waits for those that follow
		defer end()
	}
	if err := held.lost(op); err != nil {
		return nil, err
	}
	return held, nil
}

// inOrder returns the claims in the order that is the same for everybody, the strongest
// for each queue.
func inOrder(locks []Claim) ([]claim, error) {
	claims := make([]claim, len(locks))
	for i, c := range locks {
		if c != nil {
			claims[i] = c.claim()
		}
		if claims[i].lock == nil {
			return nil, fmt.Errorf("%w: lock %d of %d is nil", ErrInvalid, i+1, len(locks))
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return cmp.Or(a.compare(b), a.weakness()-b.weakness()) })
	return slices.CompactFunc(claims, func(a, b claim) bool { return a.compare(b) == 0 }), nil
}

// compare goes by the tickets' prefix first: whoever contends has the same one,
// under whatever path it sees the directory.
func (c claim) compare(o claim) int {
	a, b := &c.lock.passage.Queue, &o.lock.passage.Queue
	return cmp.Or(strings.Compare(a.Prefix, b.Prefix), strings.Compare(a.Dir, b.Dir))
}

// weakness is higher for the weaker kind.
func (c claim) weakness() int {
	if c.shared {
		return 1
	}
	return 0
}

// refused returns the error of the first claim that is sure to fail because of who
// asks, before anything is waited for.
func refused(ctx context.Context, claims []claim, r request) error {
	owner := ownerOf(ctx)
	for _, c := range claims {
		var err error
		switch {
		case c.lock.cfg.reentrant && owner == nil:
			err = ErrNoOwner
		case !r.try: // which would not wait for itself
			err = owner.refuses(c.lock, c.shared)
		}
		if err != nil {
			r.shared = c.shared
			return &Error{Op: r.op(), Path: c.lock.path, Err: err}
		}
	}
	return nil
}

// shortest returns the shortest of the timeouts that are set, or 0.
func shortest(claims []claim) (limit time.Duration) {
	for _, c := range claims {
		if t := c.lock.cfg.timeout; t > 0 && (limit == 0 || t < limit) {
			limit = t
		}
	}
	return limit
}
