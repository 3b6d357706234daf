//go:build unix

package filelock_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("hold", holdChild)
}

// holdChild takes the lock, says so, and gives it back when told.
func holdChild(args []string) error {
	l, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	return holdUntilTold(l)
}

// holdUntilTold is what the children that hold a lock do with it.
func holdUntilTold(l *filelock.FileLock) error {
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	locktest.Say("held")
	locktest.Gate()
	if err := l.Unlock(); err != nil {
		return err
	}
	locktest.Say("released")
	return nil
}

// line starts n children that hold the lock one after the other, each in the
// queue before the next one starts.
func line(t *testing.T, path string, n int) (children []*locktest.Child) {
	t.Helper()
	for i := range n {
		children = append(children, locktest.Start(t, "hold", path))
		if i == 0 {
			children[0].Expect("held")
		}
		settled(t, path, i+1)
	}
	return children
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func TestKilledHolder(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "target")
		var took []time.Duration
		n := 8
		if *soak > 0 {
			n = rounds
		}
		for range n {
			children := line(t, path, 6)
			began := time.Now()
			children[0].Kill()
			children[1].Expect("held")
			took = append(took, time.Since(began))
			for _, c := range children[2:] {
				require.True(t, c.Silent(0), "another entered")
			}
			for i, c := range children[1:] {
				c.Go()
				c.Expect("released")
				if i+2 < len(children) {
					children[i+2].Expect("held")
				}
				c.Done()
			}
			requireNoTickets(t, dir)
		}
		t.Logf("kill -9 of the holder to the next one's word of holding: median %v, worst %v of %d", median(took), slices.Max(took), len(took))
		// The quickest, since on a busy machine most processes wait for a processor.
		require.Less(t, slices.Min(took), 50*time.Millisecond)
	})
}

func TestKilledWaiter(t *testing.T) {
	path := target(t)
	children := line(t, path, 6)
	children[3].Kill()
	children = slices.Delete(children, 3, 4)
	for i, c := range children {
		if i > 0 {
			c.Expect("held")
		}
		for _, behind := range children[i+1:] {
			require.True(t, behind.Silent(0), "another entered")
		}
		c.Go()
		c.Expect("released")
		c.Done()
	}
	requireNoTickets(t, filepath.Dir(path))
}
