//go:build unix

package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("storm", stormChild)
}

// storm is many processes and goroutines that take one lock over and over and
// do nothing while they hold it, so that tickets tie as often as they can.
type storm struct {
	processes, goroutines int
	holds                 int // in all
	batch                 time.Duration
	stepping              bool // tickets are stamped into the past and the future
}

// run has the processes use the directories by turns: one, or several mounts
// of one.
func (s storm) run(t *testing.T, dirs ...string) {
	t.Helper()
	guarded := filepath.Join(t.TempDir(), "guard")
	guard, err := locktest.OpenGuard(guarded)
	require.NoError(t, err)
	began := time.Now()
	var children []*locktest.Child
	for i := range s.processes {
		children = append(children, locktest.Start(t, "storm", dirs[i%len(dirs)], guarded, s.goroutines, s.holds, *soak, s.batch, s.stepping))
	}
	for _, c := range children {
		c.Expect("ready")
	}
	for _, c := range children {
		c.Go()
	}
	for _, c := range children {
		c.Done()
	}
	took := time.Since(began)
	t.Logf("%d processes × %d goroutines, batch %v, stepping clock %v: %d holds, %d overlaps in %v (%.0f a second)",
		s.processes, s.goroutines, s.batch, s.stepping, guard.Holds(), guard.Overlaps(), took.Round(time.Millisecond),
		float64(guard.Holds())/took.Seconds())
	require.Zero(t, guard.Overlaps(), "two were inside")
	require.GreaterOrEqual(t, guard.Holds(), int64(s.holds))
	for _, dir := range dirs {
		eventually(t, "tickets were left", func() bool { return len(tickets(t, dir)) == 0 })
	}
}

func stormChild(args []string) error {
	dir := args[0]
	goroutines, err1 := strconv.Atoi(args[2])
	holds, err2 := strconv.Atoi(args[3])
	least, err3 := time.ParseDuration(args[4])
	batch, err4 := time.ParseDuration(args[5])
	stepping, err5 := strconv.ParseBool(args[6])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	if stepping {
		filelock.StampTickets(func() time.Time {
			return time.Now().Add(time.Duration(rand.Int64N(int64(2*time.Hour))) - time.Hour).Truncate(time.Minute)
		})
	}
	guard, err := locktest.OpenGuard(args[1])
	if err != nil {
		return err
	}
	l, err := filelock.New(filepath.Join(dir, "target"), filelock.WithBatch(batch))
	if err != nil {
		return err
	}
	locktest.Say("ready")
	locktest.Gate()
	until := time.Now().Add(least)
	errs := make([]error, goroutines)
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			for errs[i] == nil && (guard.Holds() < int64(holds) || time.Now().Before(until)) {
				errs[i] = l.Do(context.Background(), func(context.Context) error {
					guard.Enter()
					defer guard.Leave()
					if guard.Overlaps() > 0 {
						return fmt.Errorf("pid %d overlaps", os.Getpid())
					}
					return nil
				})
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// TestTieStorm is the race that the plain rule loses in seconds: tickets of
// one tick. With the rule R2 taken out of internal/queue it fails.
func TestTieStorm(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		for i, s := range []storm{
			{processes: 8, goroutines: 8, holds: 50_000, batch: filelock.DefaultBatch},
			{processes: 8, goroutines: 8, holds: 5_000, batch: 0},
			{processes: 2, goroutines: 1, holds: 5_000, batch: 0},
		} {
			sub := filepath.Join(dir, fmt.Sprint(i))
			require.NoError(t, os.Mkdir(sub, 0o777))
			s.run(t, sub)
		}
	})
}

// TestSteppingClock is the same with tickets whose times have nothing to do
// with when they were made.
func TestSteppingClock(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		for i, s := range []storm{
			{processes: 8, goroutines: 8, holds: 20_000, batch: filelock.DefaultBatch, stepping: true},
			{processes: 8, goroutines: 8, holds: 3_000, batch: 0, stepping: true},
		} {
			sub := filepath.Join(dir, fmt.Sprint(i))
			require.NoError(t, os.Mkdir(sub, 0o777))
			s.run(t, sub)
		}
	})
}

// TestAcrossMounts is the storm on several mounts of one directory, as several
// machines would have it: -mounts names them.
func TestAcrossMounts(t *testing.T) {
	if *mounts == "" {
		t.Skip("-mounts names no mounts of one directory")
	}
	dirs := strings.Split(*mounts, ",")
	storm{processes: 2 * len(dirs), goroutines: 2, holds: *mountHolds, batch: 0}.run(t, dirs...)
	storm{processes: 2 * len(dirs), goroutines: 2, holds: *mountHolds, batch: 0, stepping: true}.run(t, dirs...)
}
