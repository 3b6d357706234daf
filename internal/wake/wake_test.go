package wake

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/locktest"
)

func TestMain(m *testing.M) {
	locktest.RunChild()
	code := m.Run()
	if code == 0 {
		// The reader outlives the last watch.
		if err := locktest.Goroutines(); err != nil {
			os.Stderr.WriteString("goroutines were left: " + err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// waits returns how long each of n calls of Wait takes.
func waits(t *testing.T, w *Waiter, n int, soon bool) (took []time.Duration) {
	t.Helper()
	for range n {
		start := time.Now()
		require.NoError(t, w.Wait(context.Background(), soon))
		took = append(took, time.Since(start))
	}
	return took
}

// within fails unless d is full, less at most the jitter.
func within(t *testing.T, full, d time.Duration) {
	t.Helper()
	assert.LessOrEqual(t, d, full)
	assert.GreaterOrEqual(t, d, time.Duration(float64(full)*(1-jitter)))
}

// unwatched are waiters that can only poll.
func unwatched(interval time.Duration) map[string]*Waiter {
	unable := Poll(interval)
	unable.complete = true // as New leaves it where the kernel will not watch
	return map[string]*Waiter{"Poll": Poll(interval), "no watch to be had": unable}
}

func TestPollInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, w := range unwatched(100 * time.Millisecond) {
			took := waits(t, w, 200, false)
			distinct := map[time.Duration]bool{}
			low, high := took[0], took[0]
			for _, d := range took {
				within(t, 100*time.Millisecond, d)
				distinct[d] = true
				low, high = min(low, d), max(high, d)
			}
			assert.Greater(t, len(distinct), 150, "%s: no jitter", name)
			assert.Less(t, low, 80*time.Millisecond, "%s: the jitter is too small", name)
			assert.Greater(t, high, 95*time.Millisecond, "%s: the jitter is too large", name)
			w.Stop()
		}
	})
}

// TestPollSoon: the first looks follow each other fast, then ever more slowly.
func TestPollSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, w := range unwatched(10 * time.Millisecond) {
			want := []time.Duration{
				200 * time.Microsecond, 400 * time.Microsecond, 800 * time.Microsecond,
				1600 * time.Microsecond, 3200 * time.Microsecond, 6400 * time.Microsecond,
				10 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond,
			}
			for i, d := range waits(t, w, len(want), true) {
				within(t, want[i], d)
			}
			// Calls that are in no hurry neither use up nor renew the haste.
			within(t, 10*time.Millisecond, waits(t, w, 1, false)[0])
			within(t, 10*time.Millisecond, waits(t, w, 1, true)[0])
		}
	})
}

func TestPollSoonAndPatientInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Poll(time.Second)
		within(t, first, waits(t, w, 1, true)[0])
		within(t, time.Second, waits(t, w, 1, false)[0])
		within(t, 2*first, waits(t, w, 1, true)[0])
	})
}

// TestShortInterval: nobody waits longer than the interval, however soon.
func TestShortInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, d := range waits(t, Poll(50*time.Microsecond), 10, true) {
			within(t, 50*time.Microsecond, d)
		}
	})
}

// TestContextEndsWait: at its own moment, not at the next poll, and with its
// own error.
func TestContextEndsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, soon := range []bool{false, true} {
			for name, w := range unwatched(time.Hour) {
				w.hasty = time.Minute
				start := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), 123*time.Millisecond)
				err := w.Wait(ctx, soon)
				cancel()
				assert.ErrorIs(t, err, context.DeadlineExceeded, name)
				assert.Equal(t, 123*time.Millisecond, time.Since(start), name)
			}
		}
	})
}

func TestContextCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(7*time.Second, func() { cancel(errors.New("a reason")) })
		start := time.Now()
		assert.Equal(t, context.Canceled, Poll(time.Hour).Wait(ctx, false))
		assert.Equal(t, 7*time.Second, time.Since(start))
		assert.Equal(t, context.Canceled, Poll(time.Hour).Wait(ctx, false), "done before")
		assert.Equal(t, 7*time.Second, time.Since(start))
	})
}

// TestStopTwice: Stop is harmless where there is no watch.
func TestStopTwice(t *testing.T) {
	w := Poll(time.Second)
	w.Stop()
	w.Stop()
}
