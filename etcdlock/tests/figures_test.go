package tests

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/filelock-go/filelock"
)

// mutex is what is compared.
type mutex interface {
	Lock(ctx context.Context) error
	Unlock(ctx context.Context) error
}

// ours is a FileLock as a mutex.
type ours struct{ *filelock.FileLock }

func (o ours) Lock(ctx context.Context) error { return o.Acquire(ctx) }
func (o ours) Unlock(context.Context) error   { return o.FileLock.Unlock() }

var kinds = []string{"concurrency.Mutex", "etcdlock"}

// newMutex makes one over a client of its own.
func newMutex(t testing.TB, c *cluster, kind, name string) mutex {
	t.Helper()
	if kind == "etcdlock" {
		return ours{newLock(t, c, name)}
	}
	session, err := concurrency.NewSession(newClient(t, c.endpoints()...), concurrency.WithTTL(10))
	require.NoError(t, err)
	t.Cleanup(func() { session.Close() })
	return concurrency.NewMutex(session, "/concurrency/"+name)
}

func requireFigures(t *testing.T) {
	t.Helper()
	if !*figures {
		t.Skip("without -figures")
	}
}

// TestFree: acquire and release, that nobody else wants, in turns of the two.
func TestFree(t *testing.T) {
	requireFigures(t)
	for _, members := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d members", members), func(t *testing.T) {
			c := startCluster(t, members)
			took := map[string][]time.Duration{}
			locks := map[string]mutex{}
			for _, kind := range kinds {
				locks[kind] = newMutex(t, c, kind, newName(t))
			}
			for i := range 4000 {
				kind := kinds[i/100%2]
				began := time.Now()
				require.NoError(t, locks[kind].Lock(t.Context()))
				require.NoError(t, locks[kind].Unlock(t.Context()))
				took[kind] = append(took[kind], time.Since(began))
			}
			median := map[string]time.Duration{}
			for _, kind := range kinds {
				slices.Sort(took[kind])
				median[kind] = took[kind][len(took[kind])/2]
				t.Logf("%s: p50 %v", kind, median[kind])
			}
			ratio := float64(median["etcdlock"]) / float64(median["concurrency.Mutex"])
			t.Logf("ratio %.2f", ratio)
			assert.LessOrEqual(t, ratio, map[int]float64{1: 1.25, 3: 1.3}[members])
		})
	}
}

// handOffs returns the mean time from one holder to the next one.
func handOffs(t *testing.T, c *cluster, kind string, waiters, holds int, hold time.Duration) (mean, p50 time.Duration) {
	t.Helper()
	name := newName(t)
	var inside, left atomic.Int64
	var mu sync.Mutex
	var gaps []time.Duration
	began := time.Now()
	var all sync.WaitGroup
	var n atomic.Int64
	for range waiters {
		l := newMutex(t, c, kind, name)
		all.Go(func() {
			for n.Add(1) <= int64(holds) {
				if !assert.NoError(t, l.Lock(t.Context())) {
					return
				}
				assert.EqualValues(t, 1, inside.Add(1))
				if was := left.Load(); was > 0 {
					mu.Lock()
					gaps = append(gaps, time.Since(began)-time.Duration(was))
					mu.Unlock()
				}
				time.Sleep(hold)
				inside.Add(-1)
				left.Store(int64(time.Since(began)))
				assert.NoError(t, l.Unlock(t.Context()))
			}
		})
	}
	all.Wait()
	var sum time.Duration
	for _, gap := range gaps {
		sum += gap
	}
	slices.Sort(gaps)
	t.Logf("%s: the longest are %v", kind, gaps[len(gaps)-5:])
	return sum / time.Duration(len(gaps)), gaps[len(gaps)/2]
}

// TestHandOff: who waits, each with a client of its own.
func TestHandOff(t *testing.T) {
	requireFigures(t)
	one, three := startCluster(t, 1), startCluster(t, 3)
	for _, tt := range []struct {
		c              *cluster
		waiters, holds int
		hold           time.Duration
		writes         int           // unrelated ones, a second
		ratio          float64       // at most
		mean           time.Duration // at most
	}{
		{one, 2, 300, 0, 0, 0.1, 3 * time.Millisecond},
		{one, 2, 300, time.Millisecond, 0, 0.1, 3 * time.Millisecond},
		{one, 8, 600, 0, 0, 0.25, time.Second},
		{one, 8, 600, time.Millisecond, 0, 0.25, time.Second},
		{one, 64, 2500, 0, 0, 1.2, time.Second},
		{one, 3, 200, 20 * time.Millisecond, 200, 1, 4 * time.Millisecond},
		{three, 2, 200, time.Millisecond, 0, 0.25, time.Second},
		{three, 8, 400, time.Millisecond, 0, 0.5, time.Second},
		{three, 64, 1500, time.Millisecond, 0, 1.2, time.Second},
	} {
		c := tt.c
		t.Run(fmt.Sprintf("members=%d w=%d hold=%v writes=%d", len(c.members), tt.waiters, tt.hold, tt.writes), func(t *testing.T) {
			if tt.writes > 0 {
				writeAllTheTime(t, c, tt.writes)
			}
			means := map[string]time.Duration{}
			for _, kind := range kinds {
				mean, p50 := handOffs(t, c, kind, tt.waiters, tt.holds, tt.hold)
				means[kind] = mean
				t.Logf("%s: mean %v, p50 %v", kind, mean, p50)
			}
			ratio := float64(means["etcdlock"]) / float64(means["concurrency.Mutex"])
			t.Logf("ratio 1/%.1f", 1/ratio)
			assert.LessOrEqual(t, ratio, tt.ratio)
			assert.LessOrEqual(t, means["etcdlock"], tt.mean)
		})
	}
}

func writeAllTheTime(t *testing.T, c *cluster, second int) {
	client := newClient(t, c.endpoint(0))
	ctx, cancel := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(second))
		defer ticker.Stop()
		for ctx.Err() == nil {
			<-ticker.C
			_, _ = client.Put(ctx, "/other", "x")
		}
	})
	t.Cleanup(func() {
		cancel()
		writer.Wait()
	})
}

// TestGoroutines: 64 of one process, and 8 each of two, with a token for each grant.
func TestGoroutines(t *testing.T) {
	requireFigures(t)
	c := startCluster(t, 1)
	for _, tt := range []struct {
		clients, goroutines int
		d                   time.Duration
	}{{1, 64, 2 * time.Second}, {2, 8, 4 * time.Second}} {
		t.Run(fmt.Sprintf("%d x %d", tt.clients, tt.goroutines), func(t *testing.T) {
			name := newName(t)
			ctx, cancel := context.WithTimeout(context.Background(), tt.d)
			defer cancel()
			var all sync.WaitGroup
			// What follows is for whoever is inside.
			counts, fallen := make([]float64, tt.clients), 0
			var last uint64
			was, left := 0, time.Now()
			var gaps []time.Duration
			for i := range tt.clients {
				l := newLock(t, c, name)
				for range tt.goroutines {
					all.Go(func() {
						for ctx.Err() == nil {
							if !assert.NoError(t, l.Acquire(context.Background())) {
								return
							}
							if was != i {
								gaps = append(gaps, time.Since(left))
							}
							token, err := l.Token()
							if err != nil || token <= last {
								fallen++
							}
							last = token
							counts[i]++
							if was = i; tt.clients > 1 {
								left = time.Now()
							}
							assert.NoError(t, l.Unlock())
						}
					})
				}
			}
			all.Wait()
			require.Zero(t, fallen, "tokens that did not grow")
			least, most := slices.Min(counts), slices.Max(counts)
			t.Logf("%.0f holds/s, all with higher tokens; the shares differ by %.1f %%", most/tt.d.Seconds(), 100*(most-least)/most)
			if tt.clients == 1 {
				assert.Greater(t, most/tt.d.Seconds(), 300_000.0)
				return
			}
			slices.Sort(gaps)
			t.Logf("%d times from one client to the other, p50 %v", len(gaps), gaps[len(gaps)/2])
			assert.LessOrEqual(t, gaps[len(gaps)/2], 1500*time.Microsecond)
			assert.LessOrEqual(t, most-least, 0.05*most)
		})
	}
}

// TestManyHolds: names repeat, so that what etcd remembers does not slow the lock down.
func TestManyHolds(t *testing.T) {
	requireFigures(t)
	c := startCluster(t, 1)
	l := newLock(t, c, newName(t))
	const holds, slice = 50_000, 1000
	var first, last time.Duration
	for i := 0; i < holds; i += slice {
		took := make([]time.Duration, slice)
		for j := range took {
			began := time.Now()
			require.NoError(t, l.Acquire(t.Context()))
			require.NoError(t, l.Unlock())
			took[j] = time.Since(began)
		}
		slices.Sort(took)
		if last = took[slice/2]; first == 0 {
			first = last
		}
	}
	t.Logf("p50 of the first 1,000: %v, of the last of %d: %v", first, holds, last)
	require.LessOrEqual(t, float64(last)/float64(first), 1.3)
}
