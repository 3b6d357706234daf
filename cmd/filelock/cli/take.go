package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/filelock-go/filelock"
)

// held are the locks that were taken.
type held struct {
	locks    []lock
	services services
	free     func() error // gives the locks back
}

// lock is that of a target.
type lock struct {
	*filelock.FileLock
	target target
}

// name is how the command is told of it.
func (l lock) name() string {
	if l.target.at != nil {
		return l.target.text
	}
	return l.Path()
}

// same reports whether two are one lock. A name in a service may look like a path.
func (l lock) same(other lock) bool {
	a, b := l.target.at, other.target.at
	return l.Path() == other.Path() && (a == nil) == (b == nil) && (a == nil || a.Service == b.Service)
}

// release gives the locks back.
func (h *held) release() error {
	defer h.services.close()
	return h.free()
}

// take takes the locks. A signal ends the wait: the error then matches signalError.
func take(f *lockFlags, s *signals, say *narrator) (*held, error) {
	ctx, stop := s.context()
	began := time.Now()
	h, err := f.take(ctx, say)
	say.waited(h, began)
	stop()
	if cause := context.Cause(ctx); err == nil && cause != nil {
		// The signal came too late to end the wait. Nothing has begun yet, so
		// let it end the command all the same.
		err = errors.Join(cause, h.release())
	}
	return h, err
}

func (f *lockFlags) take(ctx context.Context, say *narrator) (_ *held, err error) {
	h := &held{}
	defer func() {
		if err != nil {
			h.services.close()
		}
	}()
	limited := ctx
	if limit := f.limit(); limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, limit, filelock.ErrTimeout)
		defer cancel()
	}
	if err := refuseNested(limited, f); err != nil {
		return nil, err
	}
	for _, target := range f.named {
		l, err := f.open(limited, target, &h.services, say)
		if err != nil {
			return nil, err
		}
		// A lock that is named twice counts once.
		if !slices.ContainsFunc(h.locks, l.same) {
			h.locks = append(h.locks, l)
		}
	}
	if inService(f.named) {
		err = f.acquireAnswered(limited, h)
	} else {
		h.free, err = f.acquire(ctx, h.locks)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// open makes the lock of a target.
func (f *lockFlags) open(ctx context.Context, t target, s *services, say *narrator) (lock, error) {
	opts := append(f.options(), say.options()...)
	if t.at == nil {
		opts = append(opts, f.fileOptions()...)
		l, err := answered(ctx, t.text, func() (*filelock.FileLock, error) { return filelock.New(t.text, opts...) })
		return lock{l, t}, err
	}
	own, err := s.options(ctx, t, time.Duration(f.lease))
	if err != nil {
		return lock{}, err
	}
	l, err := filelock.New(t.at.Name, append(opts, own...)...)
	return lock{l, t}, err
}

// limit is how long to find the targets may take, or 0.
func (f *lockFlags) limit() time.Duration {
	if f.trying() {
		return tryLimit
	}
	return time.Duration(f.wait)
}

func (f *lockFlags) acquire(ctx context.Context, locks []lock) (release func() error, err error) {
	claims := f.claims(locks)
	if f.trying() {
		return filelock.TryAcquireAll(ctx, claims...)
	}
	return filelock.AcquireAll(ctx, claims...)
}

func (f *lockFlags) claims(locks []lock) []filelock.Claim {
	claims := make([]filelock.Claim, len(locks))
	for i, l := range locks {
		if claims[i] = l.FileLock; f.shared {
			claims[i] = l.Shared()
		}
	}
	return claims
}

// noToken is in the place of a lock's token that has none, if another one has.
const noToken = "-"

// tokens are the fencing tokens, one a lock, or none if no lock has one: a file's has,
// with --fencing.
func (h *held) tokens() []string {
	tokens, some := make([]string, len(h.locks)), false
	for i, l := range h.locks {
		tokens[i] = noToken
		if token, err := l.Token(); err == nil {
			tokens[i], some = strconv.FormatUint(token, 10), true
		}
	}
	if !some {
		return nil
	}
	return tokens
}

// isLost reports whether one of the locks is lost, by the clock if nobody has said so yet.
func (h *held) isLost() bool {
	return slices.ContainsFunc(h.locks, func(l lock) bool { return !l.Held() })
}

// lost returns a channel that is closed when one of the locks is lost, or nil where
// nothing watches them: without a lease.
func (h *held) lost() <-chan struct{} {
	var lost chan struct{}
	var end func()
	for _, l := range h.locks {
		one := l.Lost()
		if one == nil {
			continue
		}
		if lost == nil {
			lost = make(chan struct{})
			end = sync.OnceFunc(func() { close(lost) })
		}
		go func() {
			<-one
			end()
		}()
	}
	return lost
}

// leave gives the locks back, to heirs if there may be some: those of the command's
// descendants that have a ticket open.
func (h *held) leave(heirs bool) error {
	if !heirs {
		return h.release()
	}
	var errs []error
	for _, l := range slices.Backward(h.locks) {
		err := l.Bequeath()
		if errors.Is(err, errors.ErrUnsupported) { // there are no heirs here
			err = l.Unlock()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
