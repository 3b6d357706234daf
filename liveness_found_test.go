//go:build linux

package filelock_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

func init() {
	locktest.Register("late waiter", lateWaiterChild)
}

// lateWaiterChild waits with a lease and says what came of it.
func lateWaiterChild(args []string) error {
	l, err := filelock.New(args[0], filelock.WithLease(time.Second))
	if err != nil {
		return err
	}
	err = l.Acquire(context.Background())
	locktest.Say("entered %v, held %v", err == nil, l.Held())
	if err == nil {
		return l.Unlock()
	}
	return nil
}

// TestServerAndClient: a process on the machine whose disk others mount sees a
// local filesystem. It must not take a client's ticket for one of its own, whose
// free locks would mean something.
func TestServerAndClient(t *testing.T) {
	away := world{Host: "client", Boot: anotherBoot(t)}
	requireWorld(t, away)
	source, client := t.TempDir(), t.TempDir()
	if out, err := exec.Command("bindfs", source, client).CombinedOutput(); err != nil {
		t.Skipf("bindfs: %v %s", err, out)
	}
	t.Cleanup(func() { unmount(client) })
	holder := inWorld(t, away, "hold", filepath.Join(client, "target"))
	holder.Expect("held")
	server := inWorld(t, world{}, "hold", filepath.Join(source, "target"))
	require.True(t, server.Silent(time.Second), "it entered though the client holds")
}

// TestRowOfDeadTickets: the time that each one's death takes to prove passes
// for all of them at once.
func TestRowOfDeadTickets(t *testing.T) {
	path := target(t)
	for range 4 {
		plant(t, path, func(n *ticket.Name) { n.PIDSpace = ticket.HashOf("container") })
	}
	l := newLock(t, path)
	began := time.Now()
	acquire(t, l)
	t.Logf("4 dead tickets of another pid namespace took %v", time.Since(began))
	require.Less(t, time.Since(began), 2*time.Second)
	require.NoError(t, l.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}

// TestStoppedWaiterWithLease: a waiter that was stopped for longer than its
// lease does not enter with a ticket that others may be about to remove. It
// starts anew with another one.
func TestStoppedWaiterWithLease(t *testing.T) {
	t.Parallel()
	path := target(t)
	l := newLock(t, path)
	require.NoError(t, l.TryLock())
	w := locktest.Start(t, "late waiter", path)
	settled(t, path, 2)
	stop(t, w)
	<-time.After(1500 * time.Millisecond) // until its lease has run out
	proceed(t, w)
	require.True(t, w.Silent(100*time.Millisecond), "it entered beside the holder")
	before := tickets(t, filepath.Dir(path))
	require.NoError(t, l.Unlock())
	w.Expect("entered true, held true")
	w.Done()
	require.Len(t, before, 2)
	requireNoTickets(t, filepath.Dir(path))
}
