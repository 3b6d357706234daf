// Package lease keeps one place's lease renewed.
package lease

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
)

// beatsPerLease is how often a lease is renewed within its time.
const beatsPerLease = 3

var (
	// ErrLate is why a lease is lost that could not be renewed in time.
	ErrLate = errors.New("its lease ran out before it could be renewed")
	// ErrOver is matched by a renewal's error that no later one can undo.
	ErrOver = errors.New("lease: over")
)

// term is a lease that was renewed at some moment.
type term struct {
	length time.Duration
	since  time.Time
	asleep time.Duration // what asleep returned then
}

func newTerm(length time.Duration, since time.Time) *term {
	return &term{length: length, since: since, asleep: asleepBy(since)}
}

// left is how long the term lasts yet. It counts the time in which the machine was
// suspended, where that is known. To ask for that costs system calls, and each time
// that the lock goes from one goroutine to the next somebody asks: the clock on the
// wall, which does not stand still, tells whether there is a reason to.
func (t *term) left() time.Duration {
	now := time.Now()
	return t.leftAfter(now.Sub(t.since), now.Round(0).Sub(t.since.Round(0)))
}

// leftAfter is left after so much time by Go's clock, and by the one on the wall.
func (t *term) leftAfter(elapsed, wall time.Duration) time.Duration {
	left := t.length - elapsed
	if left <= 0 || wall-elapsed < suspicion {
		return left
	}
	return left - max(0, asleepBy(t.since)-t.asleep)
}

// suspicion is how much further the clock on the wall goes than Go's before the machine
// may have been suspended; it may have been set, too.
const suspicion = 10 * time.Millisecond

// asleepBy is asleep for one who goes by the clock that t is of: that of a bubble of
// testing/synctest does not stand still.
func asleepBy(t time.Time) time.Duration {
	if bubble.Made(t) {
		return 0
	}
	return asleep()
}

// Heartbeat renews one lease until it is stopped or lost. A nil one does
// nothing, and is never lost.
type Heartbeat struct {
	term   atomic.Pointer[term]
	lost   chan struct{} // closed when the lease is lost
	cancel context.CancelFunc
	done   sync.WaitGroup
	end    sync.Once // lost, or stopped before that
}

// Start calls beat often enough for the lease. When that has failed for too
// long, or cannot succeed any more (ErrOver), it calls lose and ends.
func Start(beat func() error, lease time.Duration, lose func(error)) *Heartbeat {
	return StartAt(func(context.Context) error { return beat() }, lease, time.Now(), lose)
}

// StartAt is Start for a lease that counts from since. The context that beat is
// called with ends when the heartbeat is stopped or lost, and Stop waits for beat.
func StartAt(beat func(context.Context) error, lease time.Duration, since time.Time, lose func(error)) *Heartbeat {
	ctx, cancel := context.WithCancel(context.Background())
	h := &Heartbeat{lost: make(chan struct{}), cancel: cancel}
	h.term.Store(newTerm(lease, since))
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
	late := time.AfterFunc(h.term.Load().left(), func() { end(ErrLate) })
	h.done.Go(func() {
		defer late.Stop()
		extend := func(t *term) {
			h.term.Store(t)
			late.Reset(t.left())
		}
		if err := keep(ctx, beat, h.term.Load(), extend); err != nil {
			end(err)
		}
	})
	return h
}

// Left returns how long the lease lasts yet: what is over by the clock is lost,
// whether or not the channel's goroutine has come to say so. Of a nil one it is no
// time at all.
func (h *Heartbeat) Left() time.Duration {
	if h == nil {
		return 0
	}
	return h.term.Load().left()
}

// keep returns nil when ctx is done, or why the lease was lost. After each
// renewal it calls extend with the term that began with it.
func keep(ctx context.Context, beat func(context.Context) error, renewed *term, extend func(*term)) error {
	lease := renewed.length
	interval := lease / beatsPerLease
	timer := time.NewTimer(interval - time.Since(renewed.since))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		renewal := newTerm(lease, time.Now()) // which may take a while
		err := beat(ctx)
		switch {
		case errors.Is(err, ErrOver):
			return err
		case renewed.left() <= 0:
			// Even if it succeeded: others may have seen the lease run out,
			// and be about to act on it.
			return errors.Join(ErrLate, err)
		case err != nil:
			timer.Reset(interval / beatsPerLease)
		default:
			renewed = renewal
			extend(renewed)
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
