package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

func init() {
	worldMains["pass many"] = worldPassMany
}

// lateness is what a test allows for the looks themselves, on a machine that does
// other things besides.
const lateness = 500 * time.Millisecond

// TestShortWaits: what an attempt has begun to prove the next one finishes, so
// that short waits get past a dead owner as soon as long ones.
func TestShortWaits(t *testing.T) {
	t.Parallel()
	path := target(t)
	plant(t, path, func(n *ticket.Name) { n.PIDSpace = ticket.HashOf("container") })
	l := newLock(t, path, filelock.WithTimeout(900*time.Millisecond))
	began := time.Now()
	attempts := 1
	for err := l.Acquire(context.Background()); err != nil; err = l.Acquire(context.Background()) {
		require.ErrorIs(t, err, filelock.ErrTimeout)
		require.Less(t, time.Since(began), stuck)
		attempts++
	}
	t.Logf("a dead container's ticket was passed within %v, by attempt %d of 0.9 s", time.Since(began).Round(time.Millisecond), attempts)
	require.Less(t, time.Since(began), liveness.Grace+lateness)
	require.NoError(t, l.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}

// plantLeased makes the ticket of a dead owner of another machine, of which only
// the lease tells.
func plantLeased(t *testing.T, path string, lease time.Duration) {
	t.Helper()
	plant(t, path, func(n *ticket.Name) {
		n.Host, n.PIDSpace = "elsewhere", ticket.HashOf("another machine")
		n.Place = liveness.Filesystem{Type: 0x6969, ID: 7}.Place() // NFS
		n.Lease = lease
	})
}

// TestTriesPassLease: those who only try get past a dead owner's lease when it is
// over, and not before.
func TestTriesPassLease(t *testing.T) {
	t.Parallel()
	path := target(t)
	const lease = time.Second
	plantLeased(t, path, lease)
	l := newLock(t, path)
	began := time.Now()
	tries := 1
	for err := l.TryLock(); err != nil; err = l.TryLock() {
		require.ErrorIs(t, err, filelock.ErrLocked)
		require.Less(t, time.Since(began), stuck)
		time.Sleep(50 * time.Millisecond)
		tries++
	}
	t.Logf("a dead owner's lease of %v was passed within %v, by try %d, one every 50 ms", lease, time.Since(began).Round(time.Millisecond), tries)
	require.Greater(t, time.Since(began), liveness.Expiry(lease))
	require.Less(t, time.Since(began), liveness.Expiry(lease)+lateness)
	require.NoError(t, l.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}

// TestRowOfLeases: the leases of a row run out at once.
func TestRowOfLeases(t *testing.T) {
	t.Parallel()
	path := target(t)
	lease := 2 * time.Second
	if *soak > 0 {
		lease = 30 * time.Second
	}
	const row = 20
	for range row {
		plantLeased(t, path, lease)
	}
	l := newLock(t, path, filelock.WithTimeout(3*liveness.Expiry(lease)))
	began := time.Now()
	require.NoError(t, l.Acquire(context.Background()))
	t.Logf("%d dead leases of %v, one behind the other, were passed within %v", row, lease, time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), liveness.Expiry(lease)+liveness.Expiry(lease)/2)
	require.NoError(t, l.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}

// plantMany makes so many tickets of dead owners of this pid space.
func plantMany(t *testing.T, path string, count, uid int) {
	t.Helper()
	dir, base := filepath.Split(path)
	place, err := placeOf(dir)
	require.NoError(t, err)
	self := identity()
	n := ticket.Name{Host: self.Host, PID: unusedPID, Start: self.Start, PIDSpace: self.PIDSpace, Place: place}
	past := time.Now().Add(-time.Minute)
	for i := range count {
		n.Nonce = ticket.NewNonce()
		file := filepath.Join(dir, n.Format(ticket.Prefix(base)))
		at := past.Add(time.Duration(i))
		require.NoError(t, errors.Join(touch(file), os.Chtimes(file, at, at)))
		if uid != 0 {
			give(t, file, uid, uid)
		}
	}
}

// worldPassMany passes many dead tickets: first with a deadline that comes too
// soon for that, a few times, and then with a try. It says how late it came back
// at best, and how long the try took, by the clock and of the processor.
func worldPassMany(w world, args []string) error {
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	const deadline = 50 * time.Millisecond
	var ended []time.Duration
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		began := time.Now()
		err := l.Acquire(ctx)
		ended = append(ended, time.Since(began)-deadline)
		cancel()
		if err == nil { // the machine is quick, or nobody looked at ctx
			err = l.Unlock()
		} else if errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	began, before := time.Now(), processorTime()
	if err := l.TryLock(); err != nil {
		return err
	}
	took, used := time.Since(began), processorTime()-before
	files, err := os.ReadDir(filepath.Dir(args[0]))
	locktest.Say("%d %d %d %d", slices.Min(ended), took, used, len(files))
	return errors.Join(err, l.Unlock())
}

// processorTime is how long this process has run on a processor, or its kernel
// for it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestManyDead: passing many dead tickets takes a time in proportion, whether
// they can be removed or not, and ends when it is told to.
func TestManyDead(t *testing.T) {
	t.Parallel()
	const count = 32_000
	const alice, bob = 65533, 65534
	for _, tt := range []struct {
		name   string
		mode   uint32
		w      world
		owner  int
		remain int
	}{
		{name: "own directory, removed", mode: 0o755, remain: 1},
		{name: "sticky directory, skipped", mode: 0o777 | syscall.S_ISVTX, w: world{UID: bob}, owner: alice, remain: count + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requireWorld(t, tt.w)
			dir, err := os.MkdirTemp("/dev/shm", "filelock-test-")
			if err != nil {
				dir = shared(t, tt.mode)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			require.NoError(t, syscall.Chmod(dir, tt.mode))
			path := filepath.Join(dir, "target")
			plantMany(t, path, count, tt.owner)
			c := inWorld(t, tt.w, "pass many", path)
			var late, took, used time.Duration
			var remain int
			_, err = fmt.Sscan(c.Line(), (*int64)(&late), (*int64)(&took), (*int64)(&used), &remain)
			require.NoError(t, err)
			c.Done()
			t.Logf("%d dead tickets: a deadline of 50 ms was missed by %v at best; a try took %v, %v of the processor", count, late.Round(time.Millisecond), took.Round(time.Millisecond), used.Round(time.Millisecond))
			require.Equal(t, tt.remain, remain)
			if tt.owner != 0 {
				// Where they stay, the way is the same each time: who did not look
				// at its context would be late by all of it.
				require.Less(t, late, took/2)
			}
			// With n² it takes 14 s of processor time; wall time depends on who else runs.
			require.Less(t, used, 5*time.Second)
		})
	}
}
