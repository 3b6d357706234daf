package filelock_test

import (
	"context"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestCallsOfSharedLock: to share a lock that nobody else wants costs what it costs to
// have it for oneself, at first and with a ticket that rests.
func TestCallsOfSharedLock(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		requireRest(t, dir)
		calls := countCalls(t)
		l := newLock(t, filepath.Join(dir, "target"), filelock.WithLinger(time.Hour))
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		pass := func() {
			require.NoError(t, l.AcquireShared(context.Background()))
			require.NoError(t, l.Unlock())
		}
		pass()
		require.Equal(t, callsFree, calls.of(0), "the first one leaves nothing")
		pass()
		requireFirstRest(t, calls.of(1))
		settledRest(t, calls, 1, pass)
	})
}

func requireFirstRest(t *testing.T, calls tally) {
	t.Helper()
	require.Contains(t, []tally{callsFirstRest, callsFirstRestSlow}, calls)
}

// settledRest waits until a contender's passages cost no more than callsRest.
func settledRest(t *testing.T, calls *callCounter, contender int, pass func()) {
	t.Helper()
	eventually(t, "the directory's times to settle", func() bool {
		before := calls.of(contender)
		pass()
		return maps.Equal(callsRest, calls.of(contender).minus(before))
	})
}

// TestCallsBesideReader: nor does it cost more while another process shares it, which
// is inside, or rests.
func TestCallsBesideReader(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		requireRest(t, dir)
		calls := countCalls(t)
		path := filepath.Join(dir, "target")
		var locks []*filelock.FileLock
		for range 2 {
			l := newLock(t, path, filelock.WithLinger(time.Hour))
			l.OwnLine()
			locks = append(locks, l)
		}
		t.Cleanup(func() { require.NoError(t, locks[0].Close()) })
		require.NoError(t, locks[0].AcquireShared(t.Context()))
		pass := func() {
			require.NoError(t, locks[1].AcquireShared(t.Context()))
			require.NoError(t, locks[1].Unlock())
		}
		pass() // tickets that are made in the same tick may have to be told apart
		pass()
		settledRest(t, calls, 2, pass)
		require.NoError(t, locks[0].Unlock())
	})
}

// TestCallsOfParty: who joins readers of its process in the batch asks nobody, and when it
// leaves others inside it looks whether the ticket is still there.
func TestCallsOfParty(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		calls := countCalls(t)
		l := newLock(t, filepath.Join(dir, "target"), filelock.WithBatch(time.Hour), filelock.WithLinger(0))
		for range waiters {
			require.NoError(t, l.AcquireShared(t.Context()))
		}
		require.Zero(t, calls.all()["Stat"])
		for range waiters {
			require.NoError(t, l.Unlock())
		}
		require.Equal(t, tally{"Stat": waiters - 1}, calls.all().minus(callsFree))
	})
}

func TestAllocationsOfSharedLock(t *testing.T) {
	requireNoRaceDetector(t)
	for name, tt := range map[string]struct {
		linger time.Duration
		most   float64
	}{
		"first":   {0, allocsFree},
		"resting": {time.Hour, allocsRest},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLock(t, target(t), filelock.WithLinger(tt.linger))
			t.Cleanup(func() { require.NoError(t, l.Close()) })
			pass := func() {
				if err := l.AcquireShared(context.Background()); err != nil {
					t.Fatal(err)
				}
				if err := l.Unlock(); err != nil {
					t.Fatal(err)
				}
			}
			if tt.linger > 0 {
				requireRest(t, filepath.Dir(l.Path()))
				for began := time.Now(); time.Since(began) < settling; {
					pass()
				}
			}
			requireAllocations(t, tt.most, pass)
		})
	}
}
