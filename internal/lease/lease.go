// Package lease keeps one place's lease renewed.
package lease

import (
	"context"
	"errors"
	"sync"
	"time"
)

// beatsPerLease is how often a lease is renewed within its time.
const beatsPerLease = 3

var (
	// ErrLate is why a lease is lost that could not be renewed in time.
	ErrLate = errors.New("its lease ran out before it could be renewed")
	// ErrOver is matched by a renewal's error that no later one can undo.
	ErrOver = errors.New("lease: over")
)

// Heartbeat renews one lease until it is stopped or lost. A nil one does
// nothing, and is never lost.
type Heartbeat struct {
	lost   chan struct{} // closed when the lease is lost
	cancel context.CancelFunc
	done   sync.WaitGroup
	end    sync.Once // lost, or stopped before that
}

// Start calls beat often enough for the lease. When that has failed for too
// long, or cannot succeed any more (ErrOver), it calls lose and ends.
func Start(beat func() error, lease time.Duration, lose func(error)) *Heartbeat {
	ctx, cancel := context.WithCancel(context.Background())
	h := &Heartbeat{lost: make(chan struct{}), cancel: cancel}
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
	late := time.AfterFunc(lease, func() { end(ErrLate) })
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
		case errors.Is(err, ErrOver):
			return err
		case time.Since(renewed) >= lease:
			// Even if it succeeded: others may have seen the lease run out,
			// and be about to act on it.
			return errors.Join(ErrLate, err)
		case err != nil:
			timer.Reset(interval / beatsPerLease)
		default:
			renewed = began
			extend(lease - time.Since(renewed))
			timer.Reset(interval)
		}
	}
}

// Stop ends the heartbeat, and returns when it has ended.
func (h *Heartbeat) Stop() {
	if h != nil {
		h.cancel()
		h.done.Wait()
		h.end.Do(func() {})
	}
}

// Lost returns a channel that is closed when the lease is lost.
func (h *Heartbeat) Lost() <-chan struct{} {
	if h == nil {
		return nil
	}
	return h.lost
}
