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
	locks   []*filelock.FileLock
	release func() error
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

func (f *lockFlags) take(ctx context.Context, say *narrator) (*held, error) {
	h := &held{}
	opts := append(f.options(), say.options()...)
	limited := ctx
	if limit := f.limit(); limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, limit, filelock.ErrTimeout)
		defer cancel()
	}
	if err := refuseNested(limited, f); err != nil {
		return nil, err
	}
	for _, target := range f.targets {
		l, err := answered(limited, target, func() (*filelock.FileLock, error) { return filelock.New(target, opts...) })
		if err != nil {
			return nil, err
		}
		// A path that is named twice counts once.
		if !slices.ContainsFunc(h.locks, func(other *filelock.FileLock) bool { return other.Path() == l.Path() }) {
			h.locks = append(h.locks, l)
		}
	}
	var err error
	h.release, err = f.acquire(ctx, h.locks)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// limit is how long to find the targets may take, or 0.
func (f *lockFlags) limit() time.Duration {
	if f.trying() {
		return tryLimit
	}
	return time.Duration(f.wait)
}

func (f *lockFlags) acquire(ctx context.Context, locks []*filelock.FileLock) (release func() error, err error) {
	claims := make([]filelock.Claim, len(locks))
	for i, l := range locks {
		if claims[i] = l; f.shared {
			claims[i] = l.Shared()
		}
	}
	if f.trying() {
		return filelock.TryAcquireAll(ctx, claims...)
	}
	return filelock.AcquireAll(ctx, claims...)
}

// tokens are the fencing tokens, one a lock, or none without --fencing.
func (h *held) tokens() (tokens []string) {
	for _, l := range h.locks {
		if token, err := l.Token(); err == nil {
			tokens = append(tokens, strconv.FormatUint(token, 10))
		}
	}
	return tokens
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
