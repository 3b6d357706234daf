package lease

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
)

const testLease = 3 * time.Second // a beat each second

// beats is a heartbeat's other end: it notes when it was called, and answers
// what the test wants.
type beats struct {
	began  time.Time
	at     []time.Duration
	answer func(n int) error // to the n-th call, from 1
	until  time.Duration     // how far the lease was extended
}

func (b *beats) beat() error {
	b.at = append(b.at, time.Since(b.began))
	if b.answer == nil {
		return nil
	}
	return b.answer(len(b.at))
}

// loss runs keep for at most d, and returns when and why the lease was lost.
func (b *beats) loss(t *testing.T, d time.Duration) (after time.Duration, err error) {
	t.Helper()
	b.began = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	extend := func(t *term) { b.until = time.Since(b.began) + t.left() }
	err = keep(ctx, func(context.Context) error { return b.beat() }, newTerm(testLease, b.began), extend)
	return time.Since(b.began), err
}

func TestKeepRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b beats
		after, err := b.loss(t, 5500*time.Millisecond)
		require.NoError(t, err, "it ends with its context")
		require.Equal(t, 5500*time.Millisecond, after)
		require.Equal(t, []time.Duration{1e9, 2e9, 3e9, 4e9, 5e9}, b.at)
		require.Equal(t, 5*time.Second+testLease, b.until)
	})
}

func TestKeepIsLost(t *testing.T) {
	for _, gone := range []error{ErrOver, fmt.Errorf("%w: the ticket is gone", ErrOver)} {
		synctest.Test(t, func(t *testing.T) {
			b := beats{answer: func(n int) error {
				if n == 3 {
					return gone
				}
				return nil
			}}
			after, err := b.loss(t, time.Minute)
			require.ErrorIs(t, err, gone)
			require.Equal(t, 3*time.Second, after, "at once")
		})
	}
}

// TestKeepRecovers: a failure is tried again soon, and forgotten when that
// succeeds within the lease.
func TestKeepRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := beats{answer: func(n int) error {
			if n == 2 || n == 3 {
				return errors.New("the server is down")
			}
			return nil
		}}
		after, err := b.loss(t, 6*time.Second)
		require.NoError(t, err)
		require.Equal(t, 6*time.Second, after)
		third := time.Second / 3
		require.Equal(t, []time.Duration{1e9, 2e9, 2e9 + third, 2e9 + 2*third}, b.at[:4])
	})
}

// TestKeepGivesUp: when renewing has failed for a lease's time, it is over,
// before anybody else may think so.
func TestKeepGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("the server is down")
		b := beats{answer: func(n int) error {
			if n > 2 {
				return down
			}
			return nil
		}}
		after, err := b.loss(t, time.Minute)
		require.ErrorIs(t, err, ErrLate)
		require.ErrorIs(t, err, down)
		renewed := 2 * time.Second
		t.Logf("last renewed at %v, given up at %v; others wait until %v", renewed, after, renewed+liveness.Expiry(testLease))
		require.GreaterOrEqual(t, after, renewed+testLease)
		require.Less(t, after, renewed+liveness.Expiry(testLease))
	})
}

// TestKeepIsLate: a renewal that comes too late does not count, even if it
// succeeds: others may be about to act on what they saw.
func TestKeepIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := beats{answer: func(n int) error {
			if n == 2 {
				time.Sleep(testLease) // the process was stopped, or the server slow
			}
			return nil
		}}
		after, err := b.loss(t, time.Minute)
		require.ErrorIs(t, err, ErrLate)
		require.Equal(t, 2*time.Second+testLease, after)
		require.Len(t, b.at, 2)
	})
}

// TestKeepCountsFromBefore: a renewal that takes long counts from when it
// began, since that may be when others saw it.
func TestKeepCountsFromBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := beats{answer: func(n int) error {
			if n == 1 {
				time.Sleep(1500 * time.Millisecond)
				return nil
			}
			return errors.New("the server is down")
		}}
		after, err := b.loss(t, time.Minute)
		require.ErrorIs(t, err, ErrLate)
		require.Equal(t, time.Second+testLease, b.until)
		require.GreaterOrEqual(t, after, time.Second+testLease)
		require.Less(t, after, time.Second+liveness.Expiry(testLease))
	})
}

func TestHeartbeatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		h := Start(func() error { calls.Add(1); return nil }, testLease, func(err error) { t.Error(err) })
		time.Sleep(2500 * time.Millisecond)
		h.Stop()
		require.EqualValues(t, 2, calls.Load())
		time.Sleep(time.Minute)
		require.EqualValues(t, 2, calls.Load(), "nothing beats after stop")
		select {
		case <-h.Lost():
			t.Error("stopped is not lost")
		default:
		}
		h.Stop() // again
		(*Heartbeat)(nil).Stop()
		require.Nil(t, (*Heartbeat)(nil).Lost(), "never ready")
	})
}

func TestHeartbeatLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var why error
		h := Start(func() error { return ErrOver }, testLease, func(err error) {
			time.Sleep(time.Second)
			why = err
		})
		<-h.Lost()
		require.ErrorIs(t, why, ErrOver, "the reason is known before the channel is closed")
		h.Stop()
	})
}

// TestHeartbeatStandsStill: while a server does not answer, a renewal does not
// return. The loss is told all the same, before others may act on it.
func TestHeartbeatStandsStill(t *testing.T) {
	for stuck, renewed := range []time.Duration{0, time.Second, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			answers := make(chan struct{})
			calls := 0
			h := Start(func() error {
				if calls++; calls == stuck+1 {
					<-answers
				}
				return nil
			}, testLease, func(err error) { require.ErrorIs(t, err, ErrLate) })
			<-h.Lost()
			t.Logf("renewed at %v, told of the loss at %v", renewed, time.Since(began))
			require.Equal(t, renewed+testLease, time.Since(began))
			close(answers)
			time.Sleep(time.Minute)
			h.Stop()
			require.Equal(t, stuck+1, calls, "what is lost is not renewed")
		})
	}
}

// TestStopWaits: after Stop nothing touches the ticket any more, so that it can
// be removed.
func TestStopWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		h := Start(func() error {
			time.Sleep(time.Second)
			ended = true
			return nil
		}, testLease, func(err error) { t.Error(err) })
		time.Sleep(1500 * time.Millisecond)
		h.Stop()
		require.True(t, ended, "the renewal that was under way")
	})
}

// TestHeartbeatIsNotLateAfterItsEnd: nothing is lost by a timer that would have
// run out after the heartbeat was stopped.
func TestHeartbeatIsNotLateAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Start(func() error { return errors.New("the server is down") }, testLease, func(err error) { t.Error(err) })
		time.Sleep(testLease - 1)
		h.Stop()
		time.Sleep(time.Minute)
	})
}

// TestStartAt: a lease counts from when it was asked for, and is over by the clock.
func TestStartAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := time.Now()
		time.Sleep(500 * time.Millisecond)
		lost := make(chan error, 1)
		h := StartAt(func(ctx context.Context) error {
			<-ctx.Done() // nobody answers
			return ctx.Err()
		}, testLease, asked, func(err error) { lost <- err })
		require.Equal(t, testLease-500*time.Millisecond, h.Left())
		require.ErrorIs(t, <-lost, ErrLate)
		require.Equal(t, testLease, time.Since(asked))
		require.Zero(t, h.Left())
		h.Stop()
	})
}

// TestStopEndsBeat: a renewal that nobody answers does not hold up the end.
func TestStopEndsBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beating atomic.Bool
		h := StartAt(func(ctx context.Context) error {
			beating.Store(true)
			<-ctx.Done()
			return ctx.Err()
		}, testLease, time.Now(), func(err error) { t.Error(err) })
		time.Sleep(testLease / 2)
		require.True(t, beating.Load())
		began := time.Now()
		h.Stop()
		require.Zero(t, time.Since(began))
		time.Sleep(testLease)
		require.Negative(t, h.Left())
	})
}

func TestLeftOfNone(t *testing.T) {
	var h *Heartbeat
	require.Zero(t, h.Left())
}

// TestSuspended: the time in which the machine slept counts; that the clock on the
// wall was set does not.
func TestSuspended(t *testing.T) {
	renewed := newTerm(time.Minute, time.Now())
	require.Equal(t, 59*time.Second, renewed.leftAfter(time.Second, time.Second))
	require.Equal(t, 59*time.Second, renewed.leftAfter(time.Second, -time.Hour))
	require.InDelta(t, 59*time.Second, renewed.leftAfter(time.Second, time.Hour), float64(time.Second))
	renewed.asleep -= 58 * time.Second
	require.InDelta(t, time.Second, renewed.leftAfter(time.Second, 59*time.Second), float64(10*time.Millisecond))
}
