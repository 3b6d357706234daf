package keyqueue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/engine"
)

// TestCancelLeavesNothing: a request to join that arrives after its caller gave up
// makes no place that lasts: its lease was revoked, or goes soon after.
func TestCancelLeavesNothing(t *testing.T) {
	for i := range 50 {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(uint64(i), weather{})
			e := newFakeEngine(&way{fake: f}, "1", "here")
			q, err := e.Open("name", engine.Options{Lease: time.Hour})
			require.NoError(t, err)
			warm := q.New(false)
			_, err = warm.Join(t.Context())
			require.NoError(t, err)
			require.NoError(t, warm.Leave(t.Context()))
			limit := time.Duration(i) * 100 * time.Microsecond
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			began := time.Now()
			joined := q.New(false)
			_, err = joined.Join(ctx)
			require.LessOrEqual(t, time.Since(began), limit)
			if err == nil {
				require.NoError(t, joined.Leave(t.Context()))
			}
			time.Sleep(100 * time.Millisecond)
			keys, _, _ := f.count()
			require.Zero(t, keys, "left after a cancel at %v", limit)
			require.NoError(t, e.leases.Close(t.Context()))
			_, leases, _ := f.count()
			require.Zero(t, leases, "left after a cancel at %v", limit)
		})
	}
}

// TestCloseWaits: until what was leaving has left, also if that began its cleaning up only
// then; but no longer than its context lasts.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, weather{})
		w := &way{fake: f}
		e := newFakeEngine(w, "1", "here")
		q, err := e.Open("name", engine.Options{Lease: time.Hour})
		require.NoError(t, err)
		ticket := q.New(false)
		_, err = ticket.Join(t.Context())
		require.NoError(t, err)
		w.setCut(true)
		left := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			left <- ticket.Leave(ctx)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, e.leases.Close(ctx), engine.ErrUnavailable)
		time.AfterFunc(4*time.Second, func() { w.setCut(false) })
		require.NoError(t, e.leases.Close(t.Context()))
		require.ErrorIs(t, <-left, engine.ErrUnavailable)
		keys, leases, _ := f.count()
		require.Zero(t, keys)
		require.Zero(t, leases)
	})
}
