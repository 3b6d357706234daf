package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("swept", sweptChild)
}

// sweptChild takes the lock by Do, in a directory that it creates if need be,
// and says whether it was lost meanwhile.
func sweptChild(args []string) error {
	guard, err := locktest.OpenGuard(args[1])
	if err != nil {
		return err
	}
	opts := []filelock.Option{filelock.WithCreateDirs()}
	if lease, err := time.ParseDuration(args[2]); err != nil {
		return err
	} else if lease > 0 {
		opts = append(opts, filelock.WithLease(lease))
	}
	l, err := filelock.New(args[0], opts...)
	if err != nil {
		return err
	}
	err = l.Do(context.Background(), func(context.Context) error {
		guard.Enter()
		defer guard.Leave()
		locktest.Say("held")
		locktest.Gate()
		return nil
	})
	if err != nil && !errors.Is(err, filelock.ErrLost) {
		return err
	}
	locktest.Say("released, ErrLost: %v", err != nil)
	return nil
}

// TestSweptQueue removes all tickets from outside, as a cleaner of temporary
// files does. The holder is still inside, and those who were waiting for it go
// on doing so, though they find no ticket of it any more:
//
//  1. A holds; B waits for A, C for B, D for C.
//  2. All tickets are removed. Each of B, C and D sees the one before it gone.
//  3. B starts anew: a listing would show it nobody else, but it has A's ticket
//     open, whose entry is still held.
//  4. So have C and D, or they would enter beside A.
//
// The holder learns of it when it releases.
func TestSweptQueue(t *testing.T) {
	t.Parallel()
	files := func(path string) error {
		all, err := filepath.Glob(path + ".lock.*")
		for _, file := range all {
			err = errors.Join(err, os.Remove(file))
		}
		return err
	}
	directory := func(path string) error { return os.RemoveAll(filepath.Dir(path)) }
	for name, tt := range map[string]struct {
		sweep func(path string) error
		lease time.Duration // of the waiters
	}{
		"tickets":            {sweep: files},
		"directory":          {sweep: directory},
		"tickets with lease": {sweep: files, lease: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := t.TempDir()
			path, guarded := filepath.Join(above, "queue", "target"), filepath.Join(above, "guard")
			guard, err := locktest.OpenGuard(guarded)
			require.NoError(t, err)
			waiters := 1
			if *soak > 0 {
				waiters = 3 // those further behind see the holder through others
			}
			var children []*locktest.Child
			for i := range 1 + waiters {
				lease := tt.lease
				if i == 0 {
					lease = 0
				}
				children = append(children, locktest.Start(t, "swept", path, guarded, lease))
				if i == 0 {
					children[0].Expect("held")
				}
				settled(t, path, i+1)
				if i > 0 {
					eventually(t, "its look at the one before it", func() bool { return openTickets(t, children[i].Pid(), path) >= 2 })
				}
			}
			holder, waiting := children[0], children[1:]
			// Until the last one has looked at what it has open: nobody can wait for
			// whom he has not seen.
			for _, c := range waiting {
				require.True(t, c.Silent(5*mustBlock))
			}
			require.NoError(t, tt.sweep(path))
			began := time.Now()
			for _, c := range waiting {
				require.True(t, c.Silent(max(mustBlock, quiet()-time.Since(began))), "it entered beside the holder")
			}
			holder.Go()
			holder.Expect("released, ErrLost: true")
			began = time.Now()
			for len(waiting) > 0 {
				i := nextHolder(t, waiting)
				waiting[i].Go()
				waiting[i].Expect("released, ErrLost: false")
				waiting = slices.Delete(waiting, i, i+1)
			}
			t.Logf("%d waiters waited for a holder without a ticket for %v, and had all held %v after it", waiters, quiet(), time.Since(began).Round(time.Millisecond))
			require.Less(t, time.Since(began), recovery)
			require.Zero(t, guard.Overlaps(), "two were inside")
			require.EqualValues(t, 1+waiters, guard.Holds())
			requireNoTickets(t, filepath.Dir(path))
		})
	}
}

// openTickets returns how many tickets of a lock a process has open.
func openTickets(t *testing.T, pid int, path string) (n int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && strings.HasPrefix(to, path+".lock.") {
			n++
		}
	}
	return n
}

// nextHolder returns which of the children says next that it holds: the order
// of those who start anew at once is open.
func nextHolder(t *testing.T, children []*locktest.Child) (which int) {
	t.Helper()
	eventually(t, "nobody entered", func() bool {
		which = slices.IndexFunc(children, func(c *locktest.Child) bool { return !c.Silent(time.Millisecond) })
		return which >= 0
	})
	return which
}

// TestSweptHolder: Unlock tells of it like Do, whatever was swept, and with
// WithCreateDirs the next acquisition makes the directory again.
func TestSweptHolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "queue")
	l := newLock(t, filepath.Join(dir, "target"), filelock.WithCreateDirs())
	for _, sweep := range []func() error{
		func() error { return os.Remove(filepath.Join(dir, tickets(t, dir)[0])) },
		func() error { return os.RemoveAll(dir) },
	} {
		require.NoError(t, l.TryLock())
		require.NoError(t, sweep())
		require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
		require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
	}
	require.NoDirExists(t, dir)
	require.NoError(t, l.TryLock())
	require.NoError(t, l.Unlock())
	requireNoTickets(t, dir)
}
