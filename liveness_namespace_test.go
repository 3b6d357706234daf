//go:build linux

package filelock_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// recovery is how long it may take until a killed owner's ticket no longer
// blocks: a second is the proof itself.
const recovery = 3 * time.Second

// TestNamespaces has holder and waiter see different pids, hostnames or both.
// A live holder keeps the lock whatever the other one tries; a killed one's
// lock passes on.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	container := world{PIDs: true}
	tests := []struct {
		name           string
		holder, waiter world
	}{
		{"same host, holder in a pid namespace, waiter outside", container, world{}},
		{"same host, holder outside, waiter in a pid namespace", world{}, container},
		{"same host, both pid 1 of their namespaces", container, container},
		{"other host, same pid namespace", world{Host: "elsewhere"}, world{}},
		{"other host, both pid 1", world{Host: "web-1", PIDs: true}, world{Host: "web-2", PIDs: true}},
	}
	for _, tt := range tests {
		requireWorld(t, tt.holder, tt.waiter)
	}
	var all []*standoff
	for _, tt := range tests {
		s := newStandoff(t, tt.name, t.TempDir(), tt.holder, tt.waiter)
		require.Contains(t, s.seen, "inside: entry held")
		all = append(all, s)
	}
	requireQuiet(t, all)
	requireRecovery(t, all)
}

// TestTryAndReapInAnotherNamespace: those who do not wait in the queue stay for
// the proof, too.
func TestTryAndReapInAnotherNamespace(t *testing.T) {
	requireWorld(t, world{PIDs: true})
	tests := map[string]func(t *testing.T, path string){
		"try": func(t *testing.T, path string) {
			l := newLock(t, path)
			require.NoError(t, l.TryLock())
			require.NoError(t, l.Unlock())
		},
		"reap": func(t *testing.T, path string) {
			q, err := filelock.Inspect(path)
			require.NoError(t, err)
			require.Len(t, q.Tickets, 1)
			require.Equal(t, filelock.Unknown, q.Tickets[0].State, "one look is no proof")
			reaped, err := filelock.Reap(path)
			require.NoError(t, err)
			require.Len(t, reaped, 1)
			require.Equal(t, filelock.Dead, reaped[0].State)
			t.Logf("reaped %s, which at the first look was %s", reaped[0], q.Tickets[0].Reason)
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := target(t)
			holder := inWorld(t, world{PIDs: true}, "hold", path)
			holder.Expect("held")
			require.ErrorIs(t, newLock(t, path).TryLock(), filelock.ErrLocked)
			holder.Kill()
			began := time.Now()
			f(t, path)
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
			require.Less(t, time.Since(began), recovery)
			requireNoTickets(t, filepath.Dir(path))
		})
	}
}

// TestRestartedContainer: the old container's pid is the new one's, and the
// hostname too. What the old one left is taken for dead and what a live one
// holds is not.
func TestRestartedContainer(t *testing.T) {
	t.Parallel()
	container := world{Host: "web", PIDs: true}
	requireWorld(t, container)
	path := target(t)
	first := inWorld(t, container, "hold", path)
	first.Expect("held")
	first.Kill()
	left := tickets(t, filepath.Dir(path))
	require.Len(t, left, 1)

	began := time.Now()
	second := inWorld(t, container, "hold", path)
	second.Expect("held")
	t.Logf("the container was killed and left %s; started again, it had the lock after %v", left[0], time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), recovery)

	third := inWorld(t, container, "contend", path)
	t.Logf("a third: %s", third.Line())
	seen := third.Line()
	t.Logf("the second as the third sees it: %s", seen)
	require.Contains(t, seen, "web pid 1,")
	require.Contains(t, seen, "inside: entry held")
	require.True(t, third.Silent(quiet()), "it entered a held lock")
	second.Go()
	second.Expect("released")
	third.Expect("held")
	third.Go()
	third.Expect("released")
	requireNoTickets(t, filepath.Dir(path))
}

// worldBetween acquires once, and waits for the test between the steps that
// create and settle its first ticket.
func worldBetween(w world, args []string) error {
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	guard, err := locktest.OpenGuard(filepath.Join(filepath.Dir(args[0]), "guard"))
	if err != nil {
		return err
	}
	settles := 0
	filelock.AtSteps(func(step, ticket string) {
		if step != "before Settle" {
			return
		}
		if settles++; settles == 1 {
			locktest.Say("%s", ticket)
			locktest.Gate()
		}
	})
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	guard.Enter()
	locktest.Say("held after %d tickets", settles)
	locktest.Gate()
	guard.Leave()
	if err := l.Unlock(); err != nil {
		return err
	}
	locktest.Say("released")
	return nil
}

// TestStoppedBeforeItsWitness stops an owner, in a pid namespace of its own,
// when its ticket is there and its witness is not yet:
//
//  1. A creates its ticket, lists, and finds nobody else.
//  2. A is stopped.
//  3. B comes, finds A's ticket without a witness, and waits.
//  4. A goes on within the grace, and takes its witness: it enters, B waits on.
//
// or, past the grace:
//
//  4. B, having the lock that would be A's witness, removes A's ticket and
//     enters.
//  5. A goes on. Its lock succeeds only now that B has let go of it, so it
//     sees that its ticket has no name any more. A has not decided anything,
//     nor did anybody let A pass: it starts over with a new ticket, behind B.
//
// So the ticket of an owner that was only slow may be removed, which costs it
// its place in the queue, and never lets two in: what counts is who gets the
// ticket's lock first, and both look at the name while they have it.
func TestStoppedBeforeItsWitness(t *testing.T) {
	requireWorld(t, world{PIDs: true})
	for name, tt := range map[string]struct {
		stopped time.Duration
		late    bool
	}{
		"within the grace": {300 * time.Millisecond, false},
		"past the grace":   {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := target(t)
			guard, err := locktest.OpenGuard(filepath.Join(filepath.Dir(path), "guard"))
			require.NoError(t, err)
			a := inWorld(t, world{PIDs: true}, "between", path)
			first := a.Line()
			require.NoError(t, unix.Kill(a.Pid(), unix.SIGSTOP))
			eventually(t, "the stop", func() bool { return processState(t, a.Pid()) == "T" })
			a.Go() // as soon as it may run

			b := newLock(t, path)
			entered := start(func() error {
				err := b.Acquire(t.Context())
				if err == nil {
					guard.Enter()
				}
				return err
			})
			queued(t, filepath.Dir(path), 2)
			if tt.late {
				began := time.Now()
				require.NoError(t, result(t, entered))
				t.Logf("past the grace, after %v, the other enters", time.Since(began).Round(time.Millisecond))
				require.GreaterOrEqual(t, time.Since(began), 900*time.Millisecond)
				require.NotContains(t, tickets(t, filepath.Dir(path)), first, "its ticket was reclaimed")
				require.NoError(t, unix.Kill(a.Pid(), unix.SIGCONT))
				settled(t, path, 2)
				require.True(t, a.Silent(quiet()), "two are inside")
				guard.Leave()
				require.NoError(t, b.Unlock())
				a.Expect("held after 2 tickets")
				a.Go()
				a.Expect("released")
			} else {
				select {
				case err := <-entered:
					t.Fatalf("entered within the grace: %v", err)
				case <-time.After(tt.stopped):
				}
				require.NoError(t, unix.Kill(a.Pid(), unix.SIGCONT))
				a.Expect("held after 1 tickets")
				select {
				case err := <-entered:
					t.Fatalf("two are inside: %v", err)
				case <-time.After(quiet()):
				}
				a.Go()
				a.Expect("released")
				require.NoError(t, result(t, entered))
				guard.Leave()
				require.NoError(t, b.Unlock())
			}
			require.Zero(t, guard.Overlaps())
			requireNoTickets(t, filepath.Dir(path))
		})
	}
}

// TestLateForItsWitness has many owners come about as late as the grace is
// long, each with a waiter that looks all the time: whoever gets the ticket's
// lock first, two are never inside.
func TestLateForItsWitness(t *testing.T) {
	t.Parallel()
	requireWorld(t, world{PIDs: true})
	owners := 16
	if *soak > 0 {
		owners = 200
	}
	type late struct {
		owner   *locktest.Child
		due     time.Time
		entered <-chan error
		guard   *locktest.Guard
		dir     string
	}
	var all []late
	dir := t.TempDir()
	for i := range owners {
		one := late{dir: filepath.Join(dir, fmt.Sprint(i))}
		path := filepath.Join(one.dir, "target")
		require.NoError(t, os.Mkdir(one.dir, 0o777))
		guard, err := locktest.OpenGuard(filepath.Join(one.dir, "guard"))
		require.NoError(t, err)
		one.guard, one.owner = guard, inWorld(t, world{PIDs: true}, "between", path)
		one.owner.Line()
		one.due = time.Now().Add(980*time.Millisecond + time.Duration(i)*40*time.Millisecond/time.Duration(owners))
		waiter := newLock(t, path, filelock.WithPollInterval(time.Millisecond))
		one.entered = start(func() error {
			return waiter.Do(context.Background(), func(context.Context) error {
				guard.Enter()
				time.Sleep(mustBlock)
				guard.Leave()
				return nil
			})
		})
		all = append(all, one)
	}
	for _, one := range all {
		time.Sleep(time.Until(one.due))
		one.owner.Go()
	}
	second := 0
	for _, one := range all {
		if one.owner.Line() != "held after 1 tickets" {
			second++
		}
		one.owner.Go()
		one.owner.Expect("released")
		one.owner.Done()
		require.NoError(t, result(t, one.entered))
		require.Zero(t, one.guard.Overlaps())
		require.EqualValues(t, 2, one.guard.Holds())
		requireNoTickets(t, one.dir)
	}
	t.Logf("of %d owners that were 0.98 to 1.02 s late, %d had to take a second ticket", owners, second)
}
