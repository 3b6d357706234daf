package filelock_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestOnWaitLooks: however many goroutines of a line are told of their wait, the line is
// looked at once for all of them. If each looked for itself, a thousand would keep a
// processor busy, and the line's mutex with it.
func TestOnWaitLooks(t *testing.T) {
	const waiters, hold = 1000, 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		path := target(t)
		holder := newLock(t, path)
		acquire(t, holder)
		var told [waiters]atomic.Int64 // how many are ahead
		var calls atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range waiters {
			l := newLock(t, path, filelock.WithOnWait(func(w filelock.Wait) {
				calls.Add(1)
				told[i].Store(int64(w.Ahead))
			}))
			all.Go(func() { assert.ErrorIs(t, l.Acquire(ctx), context.Canceled) })
			synctest.Wait() // in this order
		}
		time.Sleep(hold)
		walks := filelock.Walks()
		t.Logf("%d walks until all were told", walks)
		require.EqualValues(t, waiters, calls.Load())
		for i := range told {
			require.EqualValues(t, i+1, told[i].Load())
		}

		time.Sleep(hold)
		const perLook = 2 // before and after
		require.LessOrEqual(t, filelock.Walks()-walks, int64(perLook*(hold/filelock.DefaultPollInterval+1)))
		require.EqualValues(t, waiters, calls.Load(), "nothing has changed")
		cancel()
		all.Wait()
		require.NoError(t, holder.Unlock())
	})
}
