package filelock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
)

// beatsPerLease is how often a lease is renewed within its time.
const beatsPerLease = 3

// errLate is why a lease is lost that could not be renewed in time.
var errLate = errors.New("its lease ran out before it could be renewed")

// WithLease makes the ticket expire unless it is renewed, which a goroutine
// does while the lock is waited for or held. d is in whole seconds, at least
// one. Off by default.
//
// A lease is for owners that may stop without dying, or die out of sight: on
// another machine. After d, a quarter of it and a second more without a sign of
// life, by the observer's own monotonic clock, others take the ticket for
// dead. An owner that goes on after that learns of it from Lost, from the
// context of Do, and from Unlock; whatever it did in between, it did beside
// another holder. Without a lease, a stopped owner keeps the lock.
//
// Acquiring fails with an error that matches errors.ErrUnsupported on a
// filesystem that shows no renewal.
func WithLease(d time.Duration) Option {
	return optionFunc(func(c *config) error {
		if d < time.Second || d%time.Second != 0 || d/time.Second > 1<<31 {
			return fmt.Errorf("%w: lease %v: want whole seconds, at least one", ErrInvalid, d)
		}
		c.lease = d
		return nil
	})
}

// heartbeat renews one ticket's lease until it is stopped or lost.
type heartbeat struct {
	lost   chan struct{} // closed when the lease is lost
	cancel context.CancelFunc
	done   sync.WaitGroup
	end    sync.Once // lost, or stopped before that
}

// startHeartbeat calls beat often enough for the lease. When that has failed
// for too long, or cannot succeed any more, it calls lose and ends.
func startHeartbeat(beat func() error, lease time.Duration, lose func(error)) *heartbeat {
	ctx, cancel := context.WithCancel(context.Background())
	h := &heartbeat{lost: make(chan struct{}), cancel: cancel}
	end := func(err error) {
		h.end.Do(func() {
			lose(err)
			close(h.lost)
			cancel()
		})
	}
	// A renewal may stand still, as when a server does not answer, and the
	// holder must learn of the loss no later than others may act on it. (While
	// a machine is suspended its clock stands still, and it learns afterwards.)
	late := time.AfterFunc(lease, func() { end(errLate) })
	h.done.Go(func() {
		defer late.Stop()
		extend := func(left time.Duration) { late.Reset(left) }
		if err := keep(ctx, beat, lease, extend); err != nil {
			end(err)
		}
	})
	return h
}

// keep returns nil when ctx is done, or why the lease was lost. After each
// renewal it calls extend with the time that is left from now on.
func keep(ctx context.Context, beat func() error, lease time.Duration, extend func(left time.Duration)) error {
	interval := lease / beatsPerLease
	renewed := time.Now()
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now()
		err := beat()
		switch {
		case errors.Is(err, queue.ErrGone), errors.Is(err, queue.ErrMoved):
			return err
		case time.Since(renewed) >= lease:
			// Even if it succeeded: others may have seen the lease run out,
			// and be about to act on it.
			return errors.Join(errLate, err)
		case err != nil:
			timer.Reset(interval / beatsPerLease)
		default:
			renewed = began
			extend(lease - time.Since(renewed))
			timer.Reset(interval)
		}
	}
}

// stop ends the heartbeat, and returns when it has ended.
func (h *heartbeat) stop() {
	if h != nil {
		h.cancel()
		h.done.Wait()
		h.end.Do(func() {}) // not late any more, or told so by now
	}
}

// Lost returns a channel that is closed when the lock, as held through l now,
// is lost: its lease ran out, or its ticket was removed or changed. Without
// WithLease nothing watches the ticket while it is held, and a loss shows at
// Unlock only. The channel is nil, so never ready, without a lease or when
// nothing is held.
func (l *FileLock) Lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.holds) == 0 {
		return nil
	}
	return l.holds[len(l.holds)-1].lost()
}

func (h *hold) lost() <-chan struct{} {
	if b := h.grant.place.beating; b != nil {
		return b.lost
	}
	return nil
}

// whileHeld returns a context that ends with ErrLost as its cause when the
// hold is lost. The caller owes a call of end.
func (h *hold) whileHeld(ctx context.Context) (held context.Context, end func()) {
	lost := h.lost()
	if lost == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-lost:
			cancel(ErrLost)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		watcher.Wait()
	}
}
