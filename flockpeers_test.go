//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package filelock_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("flock peer", peerChild)
	locktest.Register("peers' rival", peersRival)
	locktest.Register("flock(1)", flockCommandChild)
	locktest.Register("flock until told", flockUntilTold)
}

// openFlock opens a lock file as gofrs/flock does.
func openFlock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
}

// peerChild is an old program: it has never heard of this lock. It locks a file, as
// gofrs/flock does, by Lock or by TryLockContext.
func peerChild(args []string) error {
	how, path := args[0], args[1]
	guard, holds, err := guarded(args[2:])
	if err != nil {
		return err
	}
	for range holds {
		file, err := openFlock(path)
		if err != nil {
			return err
		}
		if err := takeFlock(file, how); err != nil {
			return err
		}
		pretend(guard)
		if err := unix.Flock(int(file.Fd()), unix.LOCK_UN); err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

func takeFlock(file *os.File, how string) error {
	flags := unix.LOCK_EX
	if how == "polls" {
		flags |= unix.LOCK_NB
	}
	for {
		switch err := unix.Flock(int(file.Fd()), flags); err {
		case unix.EWOULDBLOCK:
			time.Sleep(time.Millisecond)
		case unix.EINTR:
		default:
			return err
		}
	}
}

func guarded(args []string) (guard *locktest.Guard, holds int, err error) {
	if guard, err = locktest.OpenGuard(args[0]); err != nil {
		return nil, 0, err
	}
	holds, err = strconv.Atoi(args[1])
	return guard, holds, err
}

// pretend is what is done under the lock: others may run meanwhile.
func pretend(guard *locktest.Guard) {
	guard.Enter()
	time.Sleep(time.Microsecond)
	guard.Leave()
}

// peersRival is the new program, with the option or without.
func peersRival(args []string) error {
	path := args[1]
	guard, holds, err := guarded(args[2:])
	if err != nil {
		return err
	}
	var opts []filelock.Option
	if args[0] == "with" {
		opts = append(opts, filelock.WithFlockPeers())
	}
	l, err := filelock.New(path, opts...)
	if err != nil {
		return err
	}
	for range holds {
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		pretend(guard)
		if err := l.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

// TestFlockPeers: old programs and new ones, 10,000 holds, and never two inside.
// Without the option there are.
func TestFlockPeers(t *testing.T) {
	const each = 2500
	for _, with := range []string{"with", "without"} {
		for _, how := range []string{"waits", "polls"} {
			t.Run(with+", a peer that "+how, func(t *testing.T) {
				dir := t.TempDir()
				path, file := filepath.Join(dir, "target"), filepath.Join(dir, "guard")
				guard, err := locktest.OpenGuard(file)
				require.NoError(t, err)
				all := []*locktest.Child{
					locktest.Start(t, "flock peer", how, path, file, each), locktest.Start(t, "flock peer", "waits", path, file, each),
					locktest.Start(t, "peers' rival", with, path, file, each), locktest.Start(t, "peers' rival", with, path, file, each),
				}
				for _, c := range all {
					c.Done()
				}
				require.EqualValues(t, 4*each, guard.Holds())
				t.Logf("%d holds, %d overlaps", guard.Holds(), guard.Overlaps())
				if with == "with" {
					require.Zero(t, guard.Overlaps())
				} else {
					require.NotZero(t, guard.Overlaps())
				}
				requireNoTickets(t, dir)
			})
		}
	}
}

// flockCommandChild is what flock(1) runs.
func flockCommandChild(args []string) error {
	guard, err := locktest.OpenGuard(args[0])
	if err == nil {
		pretend(guard)
	}
	return err
}

// TestFlockCommandPeer: the same with flock(1).
func TestFlockCommandPeer(t *testing.T) {
	command, err := exec.LookPath("flock")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	path, file := filepath.Join(dir, "target"), filepath.Join(dir, "guard")
	guard, err := locktest.OpenGuard(file)
	require.NoError(t, err)
	const runs, holds = 30, 2000
	ours := locktest.Start(t, "peers' rival", "with", path, file, holds)
	for range runs {
		env, exe := locktest.Command(t, "flock(1)", file)
		cmd := exec.Command(command, path, exe)
		cmd.Env = append(os.Environ(), env)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	ours.Done()
	require.EqualValues(t, runs+holds, guard.Holds())
	require.Zero(t, guard.Overlaps())
}

// flockUntilTold holds a flock until it is told to leave.
func flockUntilTold(args []string) error {
	file, err := openFlock(args[0])
	if err != nil {
		return err
	}
	if err := takeFlock(file, "waits"); err != nil {
		return err
	}
	locktest.Say("held")
	locktest.Gate()
	return file.Close()
}

func startPeer(t *testing.T, path string) *locktest.Child {
	t.Helper()
	peer := locktest.Start(t, "flock until told", path)
	peer.Expect("held")
	return peer
}

// requireFlock checks whether a peer could have the lock, without waiting.
func requireFlock(t *testing.T, path string, want error) {
	t.Helper()
	file, err := openFlock(path)
	require.NoError(t, err)
	defer file.Close()
	require.Equal(t, want, unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

// TestFlockPeerInside: while a peer has the file, ours are busy and say who it is, a
// wait ends at its moment and leaves nothing, and the lock is ours once the peer
// has gone.
func TestFlockPeerInside(t *testing.T) {
	path := target(t)
	peer := startPeer(t, path)
	l := newLock(t, path, filelock.WithFlockPeers())

	requirePeer := func(acquire func() error, is error) {
		t.Helper()
		var err error
		var busy *filelock.BusyError
		for seen, began := false, time.Now(); !seen && time.Since(began) < stuck; {
			err = acquire()
			require.ErrorIs(t, err, is)
			require.ErrorAs(t, err, &busy)
			// A look that takes long is not waited for: on a busy machine, once more.
			seen = busy.Holder.PID > 0 || runtime.GOOS != "linux"
		}
		assert.True(t, busy.Holder.FlockPeer)
		assert.Equal(t, path, busy.Holder.Path)
		assert.Equal(t, 1, busy.Ahead)
		if runtime.GOOS == "linux" {
			assert.Equal(t, peer.Pid(), busy.Holder.PID)
			assert.Contains(t, err.Error(), fmt.Sprintf("pid %d, a flock peer, which has a flock on %s", peer.Pid(), path))
		}
		text, err := json.Marshal(busy)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"flock_peer":true`)
		requireNoTickets(t, filepath.Dir(path))
	}
	requirePeer(l.TryLock, filelock.ErrLocked)
	for range 3 {
		requirePeer(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), mustBlock)
			defer cancel()
			return l.Acquire(ctx)
		}, context.DeadlineExceeded)
	}
	brief := newLock(t, path, filelock.WithFlockPeers(), filelock.WithTimeout(mustBlock))
	briefly := func() error { return brief.Acquire(context.Background()) }
	requirePeer(briefly, filelock.ErrTimeout)
	requirePeer(briefly, context.DeadlineExceeded)

	entered := start(func() error { return l.Acquire(context.Background()) })
	queued(t, filepath.Dir(path), 1)
	other := newLock(t, path, filelock.WithFlockPeers())
	behind := start(func() error { return other.Acquire(context.Background()) })
	eventually(t, "getting in line", func() bool { return l.Waiting() == 1 })
	requireBlocks(t, entered)
	peer.Go()
	require.NoError(t, result(t, entered))
	requireBlocks(t, behind)
	requireFlock(t, path, unix.EWOULDBLOCK)
	require.NoError(t, l.Unlock())
	require.NoError(t, result(t, behind))
	require.NoError(t, other.Unlock())
}

// TestFlockPeersLeave: the flock is free when the lock is, however it was given up,
// though the ticket may rest, and what was left waiting for it gives it back.
func TestFlockPeersLeave(t *testing.T) {
	path := target(t)
	l := newLock(t, path, filelock.WithFlockPeers())
	for range 3 {
		acquire(t, l)
		requireFlock(t, path, unix.EWOULDBLOCK)
		require.NoError(t, l.Unlock())
		requireFlock(t, path, nil)
	}
	peer := startPeer(t, path)
	ctx, cancel := context.WithTimeout(context.Background(), mustBlock)
	defer cancel()
	require.ErrorIs(t, l.Acquire(ctx), context.DeadlineExceeded)
	peer.Go()
	peer.Done()
	eventually(t, "for the wait that was left behind", func() bool {
		file, err := openFlock(path)
		require.NoError(t, err)
		defer file.Close()
		return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
	})
}

// TestFlockPeersKilled: a killed holder leaves no flock, and a killed peer none.
func TestFlockPeersKilled(t *testing.T) {
	path := target(t)
	peer := startPeer(t, path)
	l := newLock(t, path, filelock.WithFlockPeers())
	entered := start(func() error { return l.Acquire(context.Background()) })
	requireBlocks(t, entered)
	peer.Kill()
	require.NoError(t, result(t, entered))
	require.NoError(t, l.Unlock())
}

// TestFlockPeersFile: which file is locked, and what becomes of it.
func TestFlockPeersFile(t *testing.T) {
	t.Run("made", func(t *testing.T) {
		path := target(t)
		require.NoError(t, newLock(t, path, filelock.WithFlockPeers()).Do(context.Background(), func(context.Context) error { return nil }))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode())
		require.Zero(t, info.Size())
	})
	t.Run("another one", func(t *testing.T) {
		path := target(t)
		l := newLock(t, path, filelock.WithFlockPeersFile(path+".lock"))
		acquire(t, l)
		requireFlock(t, path+".lock", unix.EWOULDBLOCK)
		require.NoFileExists(t, path)
		require.NoError(t, l.Unlock())
	})
	t.Run("a directory, by a link", func(t *testing.T) {
		path := target(t)
		dir, link := t.TempDir(), path+".link"
		require.NoError(t, os.Symlink(dir, link))
		l := newLock(t, path, filelock.WithFlockPeersFile(link))
		acquire(t, l)
		file, err := os.Open(dir)
		require.NoError(t, err)
		defer file.Close()
		require.Equal(t, unix.EWOULDBLOCK, unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB))
		require.NoError(t, l.Unlock())
	})
	t.Run("none that can be had", func(t *testing.T) {
		path := target(t)
		l := newLock(t, path, filelock.WithFlockPeersFile(filepath.Join(path, "missing", "lock")))
		err := l.Acquire(context.Background())
		require.ErrorIs(t, err, fs.ErrNotExist)
		var pe *fs.PathError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, "open", pe.Op)
		require.False(t, l.Held())
		requireNoTickets(t, filepath.Dir(path))
	})
	t.Run("no path", func(t *testing.T) {
		_, err := filelock.New(target(t), filelock.WithFlockPeersFile(""))
		require.ErrorIs(t, err, filelock.ErrInvalid)
	})
}

// TestFlockPeersReplace: a peer that removes its file when it leaves is no trap, and
// who replaces it under the holder is found out.
func TestFlockPeersReplace(t *testing.T) {
	path := target(t)
	peer := startPeer(t, path)
	l := newLock(t, path, filelock.WithFlockPeers())
	entered := start(func() error { return l.Acquire(context.Background()) })
	eventually(t, "for it to wait in flock", func() bool { return threadsInFlock() == 1 })
	requireBlocks(t, entered)
	require.NoError(t, os.Remove(path)) // by the peer, before it leaves
	other := startPeer(t, path)         // it has the new file
	peer.Go()
	requireBlocks(t, entered)
	other.Go()
	require.NoError(t, result(t, entered))
	require.NoError(t, l.Unlock())

	acquire(t, l)
	require.NoError(t, os.Remove(path))
	err := l.Unlock()
	require.ErrorIs(t, err, filelock.ErrLost)
	require.ErrorContains(t, err, path)
	requireNoTickets(t, filepath.Dir(path))
}

// TestFlockPeersLine: goroutines that queue in one process pass on the turn only among
// those who have the same option.
func TestFlockPeersLine(t *testing.T) {
	path := target(t)
	with := newLock(t, path, filelock.WithFlockPeers(), filelock.WithBatch(time.Hour))
	without := newLock(t, path, filelock.WithBatch(time.Hour))
	acquire(t, without)
	entered := start(func() error { return with.Acquire(context.Background()) })
	queued(t, filepath.Dir(path), 2)
	peer := startPeer(t, path)
	require.NoError(t, without.Unlock())
	requireBlocks(t, entered)
	peer.Go()
	require.NoError(t, result(t, entered))

	// And they do pass it on among themselves.
	next := start(func() error { return with.Acquire(context.Background()) })
	eventually(t, "getting in line", func() bool { return with.Waiting() == 1 })
	require.NoError(t, with.Unlock())
	require.NoError(t, result(t, next))
	requireFlock(t, path, unix.EWOULDBLOCK)
	require.NoError(t, with.Unlock())
	requireFlock(t, path, nil)
}

// TestFlockPeersResume: who gives up while a peer is waited for leaves its place to the
// next goroutine.
func TestFlockPeersResume(t *testing.T) {
	path := target(t)
	peer := startPeer(t, path)
	l := newLock(t, path, filelock.WithFlockPeers())
	ctx, cancel := context.WithCancel(context.Background())
	first := start(func() error { return l.Acquire(ctx) })
	queued(t, filepath.Dir(path), 1)
	left := tickets(t, filepath.Dir(path))
	next := start(func() error { return l.Acquire(context.Background()) })
	eventually(t, "getting in line", func() bool { return l.Waiting() == 1 })
	requireBlocks(t, first)
	cancel()
	require.ErrorIs(t, result(t, first), context.Canceled)
	requireBlocks(t, next)
	require.Equal(t, left, tickets(t, filepath.Dir(path)))
	peer.Go()
	require.NoError(t, result(t, next))
	require.NoError(t, l.Unlock())
}

// TestFlockPeersOwner: an owner's second hold is counted only where the first one excludes
// all whom the second is to exclude.
func TestFlockPeersOwner(t *testing.T) {
	path := target(t)
	ctx := filelock.ContextWithOwner(context.Background())
	without := newLock(t, path, filelock.WithReentrant())
	with := newLock(t, path, filelock.WithReentrant(), filelock.WithFlockPeers())
	require.NoError(t, without.Acquire(ctx))
	err := with.Acquire(ctx)
	require.ErrorIs(t, err, filelock.ErrDeadlock)
	require.ErrorContains(t, err, "WithFlockPeers")
	require.ErrorIs(t, with.TryAcquire(ctx), filelock.ErrLocked)
	elsewhere := newLock(t, path, filelock.WithReentrant(), filelock.WithFlockPeersFile(path+".flock"))
	requireRefusedAtOnce(t, ctx, with)
	require.NoError(t, without.Unlock())
	require.NoError(t, with.Acquire(ctx))
	require.ErrorIs(t, elsewhere.Acquire(ctx), filelock.ErrDeadlock, "it is another flock")
	for _, inner := range []*filelock.FileLock{with, without} {
		require.NoError(t, inner.Acquire(ctx))
		require.NoError(t, inner.AcquireShared(ctx))
		require.NoError(t, inner.Unlock())
		require.NoError(t, inner.Unlock())
		requireFlock(t, path, unix.EWOULDBLOCK)
	}
	require.NoError(t, without.Acquire(ctx))
	require.NoError(t, with.Unlock())
	requireFlock(t, path, unix.EWOULDBLOCK) // until the last hold, whoever has it
	require.NoError(t, without.Unlock())
	requireFlock(t, path, nil)
}

// TestFlockPeersHeirs: there are none.
func TestFlockPeersHeirs(t *testing.T) {
	l := newLock(t, target(t), filelock.WithFlockPeers())
	acquire(t, l)
	_, err := l.Witness()
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "WithFlockPeers")
	require.ErrorIs(t, l.Bequeath(), errors.ErrUnsupported)
	require.True(t, l.Held())
	require.NoError(t, l.Unlock())
}

// TestFlockPeersShare: beside two peers that are never without the lock for longer
// than it takes to ask for it again, ours gets its turns.
func TestFlockPeersShare(t *testing.T) {
	path := target(t)
	var busy []*locktest.Child
	for range 2 {
		busy = append(busy, locktest.Start(t, "busy peer", path))
		busy[len(busy)-1].Expect("busy")
	}
	l := newLock(t, path, filelock.WithFlockPeers())
	const turns = 20
	var took time.Duration
	for range turns {
		began := time.Now()
		acquire(t, l)
		took += time.Since(began)
		require.NoError(t, l.Unlock())
		time.Sleep(busyHold) // so that it does not find the lock free that it has just given back
	}
	for _, b := range busy {
		require.NoError(t, b.Cmd.Process.Signal(syscall.SIGKILL))
	}
	t.Logf("a turn took %v beside two peers that hold for %v each", took/turns, busyHold)
	require.Less(t, took/turns, 500*busyHold, "who polls for it does not get one in half a minute")
}

const busyHold = 2 * time.Millisecond

func init() { locktest.Register("busy peer", busyPeer) }

func busyPeer(args []string) error {
	file, err := openFlock(args[0])
	if err != nil {
		return err
	}
	locktest.Say("busy")
	for {
		if err := takeFlock(file, "waits"); err != nil {
			return err
		}
		time.Sleep(busyHold)
		if err := unix.Flock(int(file.Fd()), unix.LOCK_UN); err != nil {
			return err
		}
	}
}
