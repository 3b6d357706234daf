package filelock_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
)

// passStopped has holders, each of a lock of its own, leave while the first so
// many waiters are stopped, and returns how long the next ones then took to enter.
// When the stopped ones go on, they start anew at the tail, and get the lock in
// their turn.
func passStopped(t *testing.T, locks, stopped int) (took []time.Duration) {
	t.Helper()
	type queue struct {
		path         string
		holder, next *locktest.Child
		halted       []*locktest.Child
		last         *locktest.Child
		began        time.Time
	}
	var all []*queue
	for range locks {
		q := &queue{path: target(t)}
		children := line(t, q.path, 1+stopped+2)
		q.holder, q.halted, q.next, q.last = children[0], children[1:1+stopped], children[1+stopped], children[2+stopped]
		for _, c := range q.halted {
			stop(t, c)
		}
		all = append(all, q)
	}
	for _, q := range all {
		q.began = time.Now()
		q.holder.Go()
		q.holder.Expect("released")
	}
	for _, q := range all {
		q.next.Expect("held")
		took = append(took, time.Since(q.began))
		for _, name := range tickets(t, filepath.Dir(q.path)) {
			for _, c := range q.halted {
				require.NotContains(t, name, fmt.Sprintf(".%d.", c.Pid()), "it was passed, and its ticket is still there")
			}
		}
		for i, c := range q.halted {
			proceed(t, c)
			settled(t, q.path, 3+i) // next, last and those that started anew
			require.True(t, c.Silent(mustBlock), "two are inside")
		}
		q.next.Go()
		q.next.Expect("released")
		for _, c := range append([]*locktest.Child{q.last}, q.halted...) {
			c.Expect("held")
			c.Go()
			c.Expect("released")
		}
		requireNoTickets(t, filepath.Dir(q.path))
	}
	return took
}

// TestStoppedWaiter: a waiter that is stopped before its turn comes keeps nobody
// waiting for longer than the grace.
func TestStoppedWaiter(t *testing.T) {
	t.Parallel()
	rounds := 2
	if *soak > 0 {
		rounds = 20
	}
	took := passStopped(t, rounds, 1)
	t.Logf("the holder left; the one behind a stopped waiter entered after %v at the median, %v at worst of %d", median(took), slices.Max(took), rounds)
	require.Less(t, slices.Max(took), recovery)
	require.Greater(t, slices.Min(took), liveness.Grace*9/10, "it was not given the grace")
}

// TestStoppedRow: several in a row take the grace each.
func TestStoppedRow(t *testing.T) {
	t.Parallel()
	took := passStopped(t, 1, 2)
	t.Logf("the holder left; the one behind two stopped waiters entered after %v", took[0])
	require.Less(t, took[0], 2*recovery)
}

// TestStopStorm stops and continues contenders at random, wherever they are: in
// the doorway, waiting, inside or leaving; some for a moment, and some for so long
// that they are passed.
func TestStopStorm(t *testing.T) {
	t.Parallel()
	lasts := 3 * time.Second
	if *soak > 0 {
		lasts = *soak
	}
	const processes, mostStopped = 6, 3
	dir := t.TempDir()
	guard, err := openMortal(dir)
	require.NoError(t, err)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var children []*locktest.Child
	for range processes {
		children = append(children, locktest.Start(t, "survivor", dir, 100*time.Microsecond))
	}
	eventually(t, "the first holds", func() bool { return guard.Word(wordHolds).Load() > 0 })

	due := map[*locktest.Child]time.Time{} // when the stopped ones go on
	stops := 0
	for began := time.Now(); time.Since(began) < lasts; time.Sleep(time.Duration(random.Int64N(int64(mustBlock)))) {
		for c, at := range due {
			if time.Now().After(at) {
				proceed(t, c)
				delete(due, c)
			}
		}
		c := children[random.IntN(len(children))]
		if _, is := due[c]; is || len(due) == mostStopped {
			continue
		}
		require.NoError(t, unix.Kill(c.Pid(), unix.SIGSTOP))
		stops++
		after := time.Duration(random.Int64N(int64(mustBlock)))
		if random.IntN(10) == 0 {
			after = recovery + time.Duration(random.Int64N(int64(liveness.Grace/2)))
		}
		due[c] = time.Now().Add(after)
	}
	for c := range due {
		proceed(t, c)
	}
	holds := guard.Word(wordHolds).Load()
	eventually(t, "the holds after the last one went on", func() bool { return guard.Word(wordHolds).Load() > holds+processes })
	guard.Word(wordStop).Store(1)
	for _, c := range children {
		c.Done() // it is stuck if it waits
	}
	t.Logf("seed %d: %d stops of %d processes in %v, %d holds, %d overlaps", seed, stops, processes, lasts, holds, guard.Word(wordOverlaps).Load())
	require.Zero(t, guard.Word(wordOverlaps).Load(), "two were inside")
	requireNoTickets(t, dir)
}

// TestIdleWaiters: those who wait cost next to nothing.
func TestIdleWaiters(t *testing.T) {
	t.Parallel()
	lasts := 2 * time.Second
	if *soak > 0 {
		lasts = 5 * time.Second
	}
	const waiters = 64
	path := target(t)
	children := line(t, path, 1)
	for range waiters {
		children = append(children, locktest.Start(t, "hold", path))
	}
	settled(t, path, 1+waiters)
	time.Sleep(200 * time.Millisecond) // until the last have started, and begun to wait
	limit := 10 * time.Millisecond * lasts / (5 * time.Second)
	if *soak == 0 {
		// Beside other tests each wakeup costs more; those who look at every poll
		// interval use four times the limit.
		limit *= 2
	}
	use := func() (total time.Duration) {
		var most time.Duration
		before := make([]time.Duration, waiters)
		for i, c := range children[1:] {
			before[i] = processTime(t, c.Pid())
		}
		time.Sleep(lasts)
		for i, c := range children[1:] {
			took := processTime(t, c.Pid()) - before[i]
			total += took
			most = max(most, took)
		}
		t.Logf("%d processes that wait for %v use %v of a processor, the busiest %v", waiters, lasts, total, most)
		return total
	}
	total := use()
	// What a wakeup costs depends on what else the machine does.
	for attempt := 1; total >= limit && attempt < 5; attempt++ {
		total = use()
	}
	require.Less(t, total, limit)
}

// processTime returns what a process has used of the processors.
func processTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	// CPUCLOCK_SCHED of another process, to the nanosecond: utime and stime in
	// /proc are in ticks.
	const scheduled = 2
	var ts unix.Timespec
	require.NoError(t, unix.ClockGettime(int32(^pid<<3|scheduled), &ts))
	return time.Duration(ts.Nano())
}
