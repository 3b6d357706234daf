//go:build unix

package filelock_test

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("try", tryChild)
}

// The words that the parties of a round of tries share.
const (
	wordRound    = iota // the round that is on; negative: go home
	wordDone            // how many tried in it
	wordWon             // how many of them got the lock
	wordReleased        // the last round whose lock was given back
)

// tryChild tries once a round with each of its goroutines, each through a
// FileLock of its own.
func tryChild(args []string) error {
	guard, err := locktest.OpenGuard(filepath.Join(args[0], "guard"))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		l, err := filelock.New(filepath.Join(args[0], "target"))
		if err != nil {
			return err
		}
		group.Go(func() { errs[i] = tryRounds(guard, l) })
	}
	locktest.Say("ready")
	group.Wait()
	return errors.Join(errs...)
}

func tryRounds(guard *locktest.Guard, l *filelock.FileLock) error {
	for round := int64(1); ; round++ {
		for guard.Word(wordRound).Load() != round {
			if guard.Word(wordRound).Load() < 0 {
				return nil
			}
			time.Sleep(20 * time.Microsecond)
		}
		err := l.TryLock()
		if err == nil {
			guard.Word(wordWon).Add(1)
		}
		guard.Word(wordDone).Add(1)
		switch {
		case err == nil:
			// The winner keeps it until all have tried.
			for guard.Word(wordRound).Load() == round {
				time.Sleep(20 * time.Microsecond)
			}
			if err := l.Unlock(); err != nil {
				return err
			}
			guard.Word(wordReleased).Store(round)
		case !errors.Is(err, filelock.ErrLocked):
			return err
		}
	}
}

func TestOneOfManyTriesSucceeds(t *testing.T) {
	const processes, goroutines, rounds = 8, 4, 200
	onEach(t, func(t *testing.T, dir string) {
		guard, err := locktest.OpenGuard(filepath.Join(dir, "guard"))
		require.NoError(t, err)
		for range processes {
			locktest.Start(t, "try", dir, goroutines).Expect("ready")
		}
		exactlyOne := 0
		for round := int64(1); round <= rounds; round++ {
			guard.Word(wordDone).Store(0)
			guard.Word(wordWon).Store(0)
			guard.Word(wordRound).Store(round)
			eventually(t, "the tries of a round", func() bool { return guard.Word(wordDone).Load() == processes*goroutines })
			if won := guard.Word(wordWon).Load(); won == 1 {
				exactlyOne++
			} else {
				t.Errorf("round %d: %d tries succeeded", round, won)
			}
			guard.Word(wordRound).Store(0)
			if guard.Word(wordWon).Load() > 0 {
				eventually(t, "the release", func() bool { return guard.Word(wordReleased).Load() == round })
			}
		}
		guard.Word(wordRound).Store(-1)
		t.Logf("%d of %d rounds of %d simultaneous tries had exactly one success", exactlyOne, rounds, processes*goroutines)
		queued(t, dir, 0)
	})
}

func TestTryLockIsRefused(t *testing.T) {
	path := target(t)
	holder := locktest.Start(t, "hold", path)
	holder.Expect("held")
	waiter := locktest.Start(t, "hold", path)
	settled(t, path, 2)

	l := newLock(t, path)
	err := l.TryLock()
	require.ErrorIs(t, err, filelock.ErrLocked)
	var busy *filelock.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, holder.Pid(), busy.Holder.PID)
	require.Equal(t, 2, busy.Ahead)
	require.Len(t, tickets(t, filepath.Dir(path)), 2)

	holder.Go()
	holder.Expect("released")
	waiter.Expect("held")
	require.ErrorIs(t, l.TryLock(), filelock.ErrLocked)
	waiter.Go()
	waiter.Expect("released")
	require.NoError(t, l.TryLock())
	require.ErrorIs(t, l.TryLock(), filelock.ErrLocked, "one FileLock excludes itself")
	require.NoError(t, l.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}

// TestTryLockDoesNotBarge: a try does not overtake those who wait.
func TestTryLockDoesNotBarge(t *testing.T) {
	path := target(t)
	mine := newLock(t, path)
	acquire(t, mine)
	waiter := locktest.Start(t, "hold", path)
	settled(t, path, 2)
	require.NoError(t, mine.Unlock())
	err := mine.TryLock()
	require.ErrorIs(t, err, filelock.ErrLocked)
	waiter.Expect("held")
}

// TestTriesWhileOthersWait: who looks at the queue for an error disturbs nobody
// who waits in it; the race detector would tell, in a soak of some seconds.
func TestTriesWhileOthersWait(t *testing.T) {
	path := target(t)
	var stop atomic.Bool
	var group sync.WaitGroup
	for i := range 6 {
		// Different leases make different tickets, so that there is a queue.
		l := newLock(t, path, filelock.WithLease(time.Hour+time.Duration(i)*time.Second))
		group.Go(func() {
			for !stop.Load() {
				if err := l.Do(context.Background(), func(context.Context) error { return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	waiter, trier := newLock(t, path, filelock.WithBatch(0)), newLock(t, path, filelock.WithBatch(0))
	group.Go(func() {
		for !stop.Load() {
			if err := waiter.Do(context.Background(), func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
		}
	})
	refused := 0
	for deadline := time.Now().Add(max(time.Second, *soak)); time.Now().Before(deadline); {
		switch err := trier.TryLock(); {
		case err == nil:
			require.NoError(t, trier.Unlock())
		case errors.Is(err, filelock.ErrLocked):
			refused++
		default:
			require.NoError(t, err)
		}
	}
	stop.Store(true)
	group.Wait()
	require.Positive(t, refused)
}
