package tests

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// TestEvictedAfterTry: who got the lock by a try is told at once when it is taken away,
// as who waited for it is.
func TestEvictedAfterTry(t *testing.T) {
	c := startCluster(t, 1)
	name := newName(nil)
	with := filelock.WithEngine(newEngine(t, c.endpoint(0)))
	l, err := filelock.New(name, with, filelock.WithLease(2*locktest.Stuck))
	require.NoError(t, err)
	require.NoError(t, l.TryLock())
	q, err := filelock.Inspect(name, with)
	require.NoError(t, err)
	_, err = filelock.Evict(name, q.Tickets[0].Path, with)
	require.NoError(t, err)
	began := time.Now()
	select {
	case <-l.Lost():
	case <-time.After(locktest.Stuck):
		t.Fatal("it is not told")
	}
	t.Logf("told after %v", time.Since(began))
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	client := newClient(t, c.endpoint(0))
	require.Eventually(t, func() bool { // its lease is revoked in the background
		all, err := client.Leases(t.Context())
		return err == nil && len(all.Leases) == 0
	}, locktest.Stuck, time.Millisecond)
}
