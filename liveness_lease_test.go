//go:build linux

package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("lose", loseChild)
}

// loseChild holds with a lease until it learns that the lock is lost, and says
// what it learnt.
func loseChild(args []string) error {
	lease, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	l, err := filelock.New(args[0], filelock.WithLease(lease))
	if err != nil {
		return err
	}
	if args[2] == "do" {
		err := l.Do(context.Background(), func(ctx context.Context) error {
			locktest.Say("held")
			<-ctx.Done()
			locktest.Say("cause is ErrLost: %v", errors.Is(context.Cause(ctx), filelock.ErrLost))
			return nil
		})
		locktest.Say("Do: ErrLost %v: %v", errors.Is(err, filelock.ErrLost), err)
		return nil
	}
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	lost := l.Lost()
	locktest.Say("held")
	<-lost
	locktest.Say("Held: %v", l.Held())
	err = l.Unlock()
	locktest.Say("Unlock: ErrLost %v: %v", errors.Is(err, filelock.ErrLost), err)
	return nil
}

func stop(t *testing.T, c *locktest.Child) {
	t.Helper()
	require.NoError(t, unix.Kill(c.Pid(), unix.SIGSTOP))
	eventually(t, "the stop", func() bool { return processState(t, c.Pid()) == "T" })
}

func proceed(t *testing.T, c *locktest.Child) {
	t.Helper()
	require.NoError(t, unix.Kill(c.Pid(), unix.SIGCONT))
}

// TestStoppedHolder: without a lease a stopped holder keeps the lock. Waiters
// that try, wait and reap do not get it, however it is seen.
func TestStoppedHolder(t *testing.T) {
	t.Parallel()
	var all []*standoff
	for name, w := range map[string]world{"witness": {}, "ENOLCK": {NoLocks: int(unix.ENOLCK)}} {
		requireWorld(t, w)
		s := &standoff{name: name, path: target(t)}
		s.holder = inWorld(t, w, "hold", s.path)
		s.holder.Expect("held")
		stop(t, s.holder)
		s.waiter = inWorld(t, w, "contend", s.path)
		t.Log(s.waiter.Line())
		t.Logf("%s: the stopped holder: %s", name, s.waiter.Line())
		all = append(all, s)
	}
	requireQuiet(t, all)
	for _, s := range all {
		proceed(t, s.holder)
	}
	requireHandOver(t, all)
}

// TestStoppedHolderWithLease: another enters when the lease is over, and the
// stopped one learns of it when it goes on.
func TestStoppedHolderWithLease(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	type party struct {
		by      string
		path    string
		holder  *locktest.Child
		other   *filelock.FileLock
		entered <-chan error
	}
	var all []*party
	for _, by := range []string{"do", "unlock"} {
		p := &party{by: by, path: target(t)}
		p.holder = locktest.Start(t, "lose", p.path, lease, by)
		p.holder.Expect("held")
		p.other = newLock(t, p.path)
		p.entered = start(func() error { return p.other.Acquire(context.Background()) })
		queued(t, filepath.Dir(p.path), 2)
		all = append(all, p)
	}
	renewed := liveness.Expiry(lease) + 100*time.Millisecond
	if *soak > 0 {
		renewed = quiet()
	}
	// While it runs, it renews: nobody enters for longer than the lease.
	for began := time.Now(); time.Since(began) < renewed; {
		for _, p := range all {
			requireBlocks(t, p.entered)
		}
	}
	for _, p := range all {
		stop(t, p.holder)
	}
	began := time.Now()
	for _, p := range all {
		require.NoError(t, result(t, p.entered))
		took := time.Since(began)
		t.Logf("renewed for %v; stopped, and another entered %v later", renewed, took.Round(time.Millisecond))
		require.Greater(t, took, liveness.Expiry(lease)-lease/3-200*time.Millisecond)
		require.Less(t, took, liveness.Expiry(lease)+time.Second)
		require.True(t, p.holder.Silent(mustBlock))
		proceed(t, p.holder)
		if p.by == "do" {
			p.holder.Expect("cause is ErrLost: true")
		} else {
			p.holder.Expect("Held: false")
		}
		line := p.holder.Line()
		t.Logf("the one that was stopped: %s", line)
		require.Contains(t, line, "ErrLost true")
		require.True(t, p.other.Held())
		require.NoError(t, p.other.Unlock())
		requireNoTickets(t, filepath.Dir(p.path))
	}
}

// TestLeaseSurvivesFilesystems: a heartbeat changes the times that it shows
// itself by, and never the number: where leaving the number out would lose it
// (FUSE filesystems that ignore or misread that), too.
func TestLeaseSurvivesFilesystems(t *testing.T) {
	t.Parallel()
	dirs := directories(t)
	if mounts, err := tryViews(t, 1); err == nil {
		dirs["FUSE"] = mounts[0]
	}
	const lease = time.Second
	type held struct {
		lock  *filelock.FileLock
		file  string
		first unix.Stat_t
	}
	all := map[string]held{}
	for name, dir := range dirs {
		h := held{lock: newLock(t, filepath.Join(dir, "target"), filelock.WithLease(lease))}
		require.NoError(t, h.lock.TryLock(), name)
		require.Len(t, tickets(t, dir), 1)
		h.file = filepath.Join(dir, tickets(t, dir)[0])
		require.NoError(t, unix.Stat(h.file, &h.first))
		all[name] = h
	}
	time.Sleep(2*lease + 200*time.Millisecond) // heartbeats are by the clock
	for name, h := range all {
		var now unix.Stat_t
		require.NoError(t, unix.Stat(h.file, &now))
		moved := time.Duration(now.Atim.Nano() - h.first.Atim.Nano())
		t.Logf("%s: after %v the access time had moved by %v and the number by %d ns", name, 2*lease, moved.Round(time.Millisecond), now.Mtim.Nano()-h.first.Mtim.Nano())
		require.Equal(t, h.first.Mtim, now.Mtim, name)
		require.Greater(t, moved, lease, name)
		require.True(t, h.lock.Held(), name)
		require.NoError(t, h.lock.Unlock(), name)
	}
}

// TestLeaseIsLostAtOnce: what is done to the ticket of a live holder is known
// with the next heartbeat.
func TestLeaseIsLostAtOnce(t *testing.T) {
	const lease = 2 * time.Second // of which a heartbeat is a third
	for name, harm := range map[string]func(file string) error{
		"removed":  os.Remove,
		"touched":  func(file string) error { return os.Chtimes(file, time.Time{}, time.Now().Add(time.Minute)) },
		"replaced": func(file string) error { return os.Rename(file, file+".away") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := target(t)
			l := newLock(t, path, filelock.WithLease(lease))
			require.Nil(t, l.Lost(), "nothing is held")
			require.NoError(t, l.TryLock())
			lost := l.Lost()
			file := filepath.Join(filepath.Dir(path), tickets(t, filepath.Dir(path))[0])
			began := time.Now()
			require.NoError(t, harm(file))
			select {
			case <-lost:
			case <-time.After(stuck):
				t.Fatal("stuck")
			}
			t.Logf("known after %v", time.Since(began).Round(time.Millisecond))
			require.Less(t, time.Since(began), lease)
			require.False(t, l.Held())
			err := l.Unlock()
			require.ErrorIs(t, err, filelock.ErrLost)
			require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked, fmt.Sprint(err))
		})
	}
}
