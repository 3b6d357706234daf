package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// requireCleanedUp checks that, soon after the server goes on, nothing is left of
// those who gave up: no ticket, no goroutine, and no lock that came late.
func requireCleanedUp(t *testing.T, f *fuse, goroutines int, locks []*filelock.FileLock) {
	t.Helper()
	began := time.Now()
	f.signal(t, syscall.SIGCONT)
	eventually(t, "the goroutines' end", func() bool { return runtime.NumGoroutine() <= goroutines })
	ended := time.Since(began)
	// Those of the commands, which could not wait for that, are left to the next
	// contender, as those of the dead are.
	own := fmt.Sprintf(".%d.", os.Getpid())
	eventually(t, "the tickets' removal", func() bool { return !strings.Contains(fmt.Sprint(tickets(t, f.source)), own) })
	t.Logf("it answers again: goroutines gone after %v, tickets after %v",
		ended.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	for _, l := range locks {
		require.False(t, l.Held(), "it was granted after its end")
	}
}

// requireUsable checks that each lock can be had, and that no ticket is left then.
// A raised entry may be: such litter of those who were ended is swept by one who
// lists twice.
func (f *fuse) requireUsable(t *testing.T, locks []*filelock.FileLock) {
	t.Helper()
	for _, l := range locks {
		ctx, cancel := context.WithTimeout(context.Background(), stuck)
		require.NoError(t, l.Acquire(ctx))
		cancel()
		require.NoError(t, l.Unlock())
	}
	for _, name := range tickets(t, f.source) {
		require.True(t, strings.HasSuffix(name, ".raised"), "%s was left", name)
	}
}

// neighbour is a lock elsewhere, that two contenders of this process take by
// turns. It remembers the longest passage.
type neighbour struct {
	name  string
	stop  atomic.Bool
	worst atomic.Int64
	holds atomic.Int64
	ends  []<-chan error
}

func newNeighbour(t *testing.T, name, dir string) *neighbour {
	t.Helper()
	n := &neighbour{name: name}
	for range 2 {
		l := newLock(t, filepath.Join(dir, "target"))
		l.OwnLine()
		n.ends = append(n.ends, start(func() error { return n.run(l) }))
	}
	return n
}

func (n *neighbour) run(l *filelock.FileLock) error {
	for !n.stop.Load() {
		began := time.Now()
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
		if err := l.Unlock(); err != nil {
			return err
		}
		for took := int64(time.Since(began)); ; {
			worst := n.worst.Load()
			if took <= worst || n.worst.CompareAndSwap(worst, took) {
				break
			}
		}
		n.holds.Add(1)
		time.Sleep(time.Millisecond)
	}
	return nil
}

// end checks that nothing was noticed.
func (n *neighbour) end(t *testing.T) {
	t.Helper()
	n.stop.Store(true)
	for _, c := range n.ends {
		require.NoError(t, result(t, c))
	}
	worst := time.Duration(n.worst.Load())
	t.Logf("beside it, a lock on %s passed %d times, in %v at worst", n.name, n.holds.Load(), worst.Round(100*time.Microsecond))
	require.Less(t, worst, tolerance)
}

// TestHungFilesystem: a server that does not answer holds nobody up beyond the
// end of its wait, grants nothing late, and leaves nothing behind.
func TestHungFilesystem(t *testing.T) {
	t.Run("free", func(t *testing.T) {
		f := mountFUSE(t)
		path := filepath.Join(f.dir, "target")
		ways, locks := hungAttempts(t, path, hungPatience)
		before := runtime.NumGoroutine()
		f.stop(t)
		ways = append(ways, commands(t, path, hungPatience)...)
		begin(ways)(t)
		// What goes on in the background is not in the way of the next.
		begin(ways[:len(locks)])(t)
		requireCleanedUp(t, f, before, locks)
		f.requireUsable(t, locks)
	})

	t.Run("held here", func(t *testing.T) {
		f := mountFUSE(t)
		path := filepath.Join(f.dir, "target")
		holder := newLock(t, path)
		ways, locks := hungAttempts(t, path, hungPatience)
		// One of them stands behind the holder in this process's own line.
		behind := newLock(t, path)
		locks = append(locks, behind)
		ways = append(ways, attempt{"Acquire in the line", func() waitEnding {
			ctx, cancel := context.WithTimeout(context.Background(), hungPatience)
			defer cancel()
			began := time.Now()
			err := behind.Acquire(ctx)
			e := waitEnding{late: time.Since(began) - hungPatience}
			if !errors.Is(err, context.DeadlineExceeded) {
				e.err = fmt.Errorf("it returned %w", err)
			}
			return e
		}})
		before := runtime.NumGoroutine()
		acquire(t, holder)
		patient := commands(t, path, lastPatience)
		waiters := begin(patient)
		settled(t, path, 1+len(patient))
		f.stop(t)
		// A new process has what this one has open, and the kernel asks the server
		// about each file that is closed there.
		begin(append(ways, commands(t, path, hungPatience)...))(t)
		waiters(t)

		began := time.Now()
		err := holder.Unlock()
		t.Logf("Unlock took %v: %v", time.Since(began).Round(time.Millisecond), err)
		require.ErrorIs(t, err, filelock.ErrUnanswered)
		require.InDelta(t, 5*time.Second, time.Since(began), float64(tolerance))
		require.False(t, holder.Held())

		requireCleanedUp(t, f, before, append(locks, holder))
		f.requireUsable(t, append(locks, holder))
	})

	t.Run("held elsewhere", func(t *testing.T) {
		f := mountFUSE(t)
		path := filepath.Join(f.dir, "target")
		holder := locktest.Start(t, "hold", path)
		holder.Expect("held")
		ways, locks := hungAttempts(t, path, lastPatience)
		ways = ways[:len(ways)-1] // a try waits for nobody
		lateWays, lateLocks := hungAttempts(t, path, hungPatience)
		before := runtime.NumGoroutine()
		ways = append(ways, commands(t, path, lastPatience)...)
		requireEndings := begin(ways)
		settled(t, path, 1+len(ways))
		f.stop(t)
		begin(lateWays)(t)
		requireEndings(t)
		requireCleanedUp(t, f, before, append(locks, lateLocks...))
		holder.Go()
		holder.Expect("released")
		f.requireUsable(t, locks)
	})
}

// TestHungFilesystemBesideOthers: the locks of other filesystems go on as if
// nothing were.
func TestHungFilesystemBesideOthers(t *testing.T) {
	f, sound := mountFUSE(t), mountFUSE(t)
	path := filepath.Join(f.dir, "target")
	holder := locktest.Start(t, "hold", path)
	holder.Expect("held")
	ways, locks := hungAttempts(t, path, lastPatience)
	ways = ways[:len(ways)-1]
	neighbours := []*neighbour{
		newNeighbour(t, "a disk", t.TempDir()),
		newNeighbour(t, "a FUSE filesystem that answers", sound.dir),
	}
	patient, cancel := context.WithCancel(context.Background())
	defer cancel()
	waiter := newLock(t, path)
	waits := start(func() error { return waiter.Acquire(patient) })
	requireEndings := begin(ways)
	settled(t, path, 2+len(ways))
	f.stop(t)
	requireEndings(t)
	cancel()
	require.ErrorIs(t, result(t, waits), context.Canceled)
	for _, n := range neighbours {
		n.end(t)
	}
	f.signal(t, syscall.SIGCONT)
	holder.Go()
	holder.Expect("released")
	f.requireUsable(t, append(locks, waiter))
}
