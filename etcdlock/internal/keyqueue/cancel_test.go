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
