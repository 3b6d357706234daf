package filelock

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
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
	err = keep(ctx, b.beat, testLease, func(left time.Duration) { b.until = time.Since(b.began) + left })
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
	for _, gone := range []error{queue.ErrGone, queue.ErrMoved} {
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
		require.ErrorIs(t, err, errLate)
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
		require.ErrorIs(t, err, errLate)
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
		require.ErrorIs(t, err, errLate)
		require.Equal(t, time.Second+testLease, b.until)
		require.GreaterOrEqual(t, after, time.Second+testLease)
		require.Less(t, after, time.Second+liveness.Expiry(testLease))
	})
}

func TestHeartbeatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		h := startHeartbeat(func() error { calls.Add(1); return nil }, testLease, func(err error) { t.Error(err) })
		time.Sleep(2500 * time.Millisecond)
		h.stop()
		require.EqualValues(t, 2, calls.Load())
		time.Sleep(time.Minute)
		require.EqualValues(t, 2, calls.Load(), "nothing beats after stop")
		select {
		case <-h.lost:
			t.Error("stopped is not lost")
		default:
		}
		h.stop() // again
		(*heartbeat)(nil).stop()
	})
}

func TestHeartbeatLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var why error
		h := startHeartbeat(func() error { return queue.ErrGone }, testLease, func(err error) { why = err })
		<-h.lost
		require.ErrorIs(t, why, queue.ErrGone, "the reason is known before the channel is closed")
		h.stop()
	})
}

// TestHeartbeatStandsStill: while a server does not answer, a renewal does not
// return. The loss is told all the same, before others may act on it.
func TestHeartbeatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		answers := make(chan struct{})
		calls := 0
		h := startHeartbeat(func() error {
			if calls++; calls == 2 {
				<-answers
			}
			return nil
		}, testLease, func(err error) { require.ErrorIs(t, err, errLate) })
		<-h.lost
		t.Logf("renewed at 1s, told of the loss at %v", time.Since(began))
		require.Equal(t, time.Second+testLease, time.Since(began))
		close(answers)
		h.stop()
		require.Equal(t, 2, calls, "what is lost is not renewed")
	})
}

// TestHeartbeatIsNotLateAfterItsEnd: nothing is lost by a timer that would have
// run out after the heartbeat was stopped.
func TestHeartbeatIsNotLateAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHeartbeat(func() error { return errors.New("the server is down") }, testLease, func(err error) { t.Error(err) })
		time.Sleep(testLease - 1)
		h.stop()
		time.Sleep(time.Minute)
	})
}

func TestWithLeaseRefuses(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, time.Second - 1, 1500 * time.Millisecond, math.MaxInt64} {
		_, err := New("target", WithLease(d))
		require.ErrorIs(t, err, ErrInvalid, "%v", d)
	}
	for _, d := range []time.Duration{time.Second, time.Hour} {
		_, err := New("target", WithLease(d))
		require.NoError(t, err, "%v", d)
	}
}

// TestMemory: what is remembered between two looks at one ticket, by our own
// monotonic clock.
func TestMemory(t *testing.T) {
	boot := liveness.Self().BootID
	if boot == "" {
		t.Skip("no boot id here, so no place")
	}
	place := liveness.Self().Place(7, true)
	container := ticket.Name{Host: "web", PID: 1, PIDSpace: ticket.HashOf("elsewhere"), Place: place}
	leased := ticket.Name{Host: "web", PID: 1, PIDSpace: ticket.HashOf("elsewhere"), Lease: testLease}
	look := func(m *memory, n ticket.Name, w liveness.Witness, number, beat int64) liveness.State {
		return m.judge("file", n, &ticketdir.Probe{
			Witness: w, Number: queue.Number{Sec: number}, Beat: ticketdir.Beat{Accessed: queue.Number{Sec: beat}}, Place: place,
		}).State
	}
	const alive, unknown, dead = liveness.Alive, liveness.Unknown, liveness.Dead
	const free, held, none = liveness.WitnessFree, liveness.WitnessHeld, liveness.WitnessNone

	synctest.Test(t, func(t *testing.T) {
		var m memory
		require.Equal(t, unknown, look(&m, container, free, 1, 0))
		time.Sleep(liveness.Grace - 1)
		require.Equal(t, unknown, look(&m, container, free, 1, 0), "too soon")
		time.Sleep(time.Nanosecond)
		require.Equal(t, dead, look(&m, container, free, 1, 0))
	})
	synctest.Test(t, func(t *testing.T) {
		var m memory
		require.Equal(t, unknown, look(&m, container, free, 1, 0))
		time.Sleep(liveness.Grace)
		require.Equal(t, alive, look(&m, container, held, 1, 0))
		require.Equal(t, unknown, look(&m, container, free, 1, 0), "it was held meanwhile")
		time.Sleep(liveness.Grace)
		require.Equal(t, unknown, look(&m, container, free, 2, 0), "it has moved, so it lived")
		time.Sleep(liveness.Grace)
		require.Equal(t, unknown, look(&m, container, none, 2, 0))
		require.Equal(t, unknown, look(&m, container, free, 2, 0), "unseen in between is no proof")
		time.Sleep(liveness.Grace)
		require.Equal(t, dead, look(&m, container, free, 2, 0))
	})
	synctest.Test(t, func(t *testing.T) {
		// Of a ticket with a lease, more is kept from look to look.
		both := container
		both.Lease = time.Hour
		var m memory
		for range 3 {
			require.Equal(t, unknown, look(&m, both, free, 1, 0))
			time.Sleep(liveness.Grace)
			require.Equal(t, alive, look(&m, both, held, 1, 0))
		}
		require.Equal(t, unknown, look(&m, both, free, 1, 0), "it was held meanwhile")
		time.Sleep(liveness.Grace)
		require.Equal(t, dead, look(&m, both, free, 1, 0))
	})
	synctest.Test(t, func(t *testing.T) {
		var m memory
		for beat := range int64(10) {
			require.Equal(t, unknown, look(&m, leased, none, 1, beat), "renewed")
			time.Sleep(testLease)
		}
		require.Equal(t, unknown, look(&m, leased, none, 1, 9), "the margin")
		time.Sleep(liveness.Expiry(testLease) - testLease)
		require.Equal(t, unknown, look(&m, leased, none, 1, 9))
		time.Sleep(time.Nanosecond)
		require.Equal(t, dead, look(&m, leased, none, 1, 9))
		require.Equal(t, dead, look(&m, leased, held, 1, 9), "a witness does not renew a lease")
		require.Equal(t, unknown, look(&m, leased, none, 1, 10), "but a renewal does")
		time.Sleep(liveness.Expiry(testLease) + 1)
		require.Equal(t, unknown, look(&m, leased, none, 2, 10), "a number that moved is a sign of life")
	})
}
