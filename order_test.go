//go:build unix

package filelock_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("arrive", arriveChild)
}

const (
	arrivals = 16
	rounds   = 20
)

// gap is how long after the last waiter the next one arrives: as soon as the
// last one's place is final, or, in a soak, 20 ms later.
func gap() {
	if *soak > 0 {
		time.Sleep(20 * time.Millisecond)
	}
}

// arriveChild gets in line when told, and says when its turn was.
func arriveChild(args []string) error {
	guard, err := locktest.OpenGuard(filepath.Join(args[0], "guard"))
	if err != nil {
		return err
	}
	l, err := filelock.New(filepath.Join(args[0], "target"))
	if err != nil {
		return err
	}
	for {
		locktest.Say("ready")
		locktest.Gate()
		err := l.Do(context.Background(), func(context.Context) error {
			locktest.Say("%d", guard.Next())
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// inversions counts the pairs that were served out of order.
func inversions(served []int64) (n int) {
	for i := range served {
		for j := range i {
			if served[j] > served[i] {
				n++
			}
		}
	}
	return n
}

func TestOrderOfProcesses(t *testing.T) {
	dir := t.TempDir()
	_, err := locktest.OpenGuard(filepath.Join(dir, "guard"))
	require.NoError(t, err)
	l := newLock(t, filepath.Join(dir, "target"))
	var children []*locktest.Child
	for range arrivals {
		children = append(children, locktest.Start(t, "arrive", dir))
	}
	bad := 0
	for range rounds {
		acquire(t, l)
		for i, c := range children {
			c.Expect("ready")
			c.Go()
			settled(t, l.Path(), i+2)
			gap()
		}
		require.NoError(t, l.Unlock())
		var served []int64
		for _, c := range children {
			turn, err := strconv.ParseInt(c.Line(), 10, 64)
			require.NoError(t, err)
			served = append(served, turn)
		}
		bad += inversions(served)
	}
	t.Logf("%d rounds of %d processes: %d of %d pairs out of order", rounds, arrivals, bad, rounds*arrivals*(arrivals-1)/2)
	require.Zero(t, bad)
	queued(t, dir, 0)
}

func TestOrderOfGoroutines(t *testing.T) {
	path := target(t)
	l := newLock(t, path)
	bad := 0
	for range rounds {
		acquire(t, l)
		var turn int64
		served := make([]int64, arrivals)
		var done []<-chan error
		for i := range arrivals {
			other := newLock(t, path)
			done = append(done, start(func() error {
				return other.Do(context.Background(), func(context.Context) error {
					turn++
					served[i] = turn
					return nil
				})
			}))
			eventually(t, "waiting for a goroutine", func() bool { return l.Waiting() == i+1 })
			gap()
		}
		require.NoError(t, l.Unlock())
		for _, c := range done {
			require.NoError(t, result(t, c))
		}
		bad += inversions(served)
	}
	t.Logf("%d rounds of %d goroutines: %d of %d pairs out of order", rounds, arrivals, bad, rounds*arrivals*(arrivals-1)/2)
	require.Zero(t, bad)
	requireNoTickets(t, filepath.Dir(path))
}
