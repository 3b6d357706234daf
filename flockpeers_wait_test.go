//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package filelock_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// threadsInFlock returns how many threads of this process wait in flock(2): from then on
// they have the file open.
func threadsInFlock() (n int) {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "flockpeer.(*File).run(") && strings.Contains(stack, "unix.Flock(") {
			n++
		}
	}
	return n
}

// TestFlockPeersThreads: short waits in a loop, of a writer and of readers that share, by
// locks that are made anew each time and closed, leave one thread of each kind behind, and
// none when the peer has gone.
func TestFlockPeersThreads(t *testing.T) {
	path := target(t)
	peer := startPeer(t, path)
	giveUp := func(acquire func(*filelock.FileLock, context.Context) error) {
		l, err := filelock.New(path, filelock.WithFlockPeers(), filelock.WithTimeout(5*mustBlock))
		if assert.NoError(t, err) {
			l.OwnLine()
			assert.ErrorIs(t, acquire(l, context.Background()), filelock.ErrTimeout)
			assert.NoError(t, l.Close())
		}
	}
	for range 5 {
		giveUp((*filelock.FileLock).Acquire)
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() { giveUp((*filelock.FileLock).AcquireShared) })
		}
		readers.Wait()
		runtime.GC() // of the locks, so that the next ones find nothing that they had
	}
	eventually(t, "for them to wait", func() bool { return threadsInFlock() >= 2 })
	require.Equal(t, 2, threadsInFlock())
	peer.Go()
	peer.Done()
	eventually(t, "for their end", func() bool { return threadsInFlock() == 0 })
}

// TestFlockPeersTry: an acquisition that has given up keeps no try out once the peer has
// gone.
func TestFlockPeersTry(t *testing.T) {
	const rounds = 20
	path := target(t)
	l := newLock(t, path, filelock.WithFlockPeers())
	for range rounds {
		peer, err := openFlock(path)
		require.NoError(t, err)
		require.NoError(t, takeFlock(peer, "waits"))
		ctx, cancel := context.WithTimeout(context.Background(), mustBlock)
		require.ErrorIs(t, l.Acquire(ctx), context.DeadlineExceeded)
		cancel()
		require.NoError(t, peer.Close())
		require.NoError(t, l.TryLock())
		require.NoError(t, l.Unlock())
		require.NoError(t, l.TryLockShared())
		require.NoError(t, l.Unlock())
	}
}

// TestFlockPeersLost: who waits for a peer learns that its ticket was removed meanwhile,
// once, though the peer stays.
func TestFlockPeersLost(t *testing.T) {
	for name, opts := range map[string][]filelock.Option{
		"no lease": nil, "lease": {filelock.WithLease(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			startPeer(t, path)
			l := newLock(t, path, append(opts, filelock.WithFlockPeers())...)
			done := start(func() error { return l.Acquire(context.Background()) })
			eventually(t, "for it to wait in flock", func() bool { return threadsInFlock() > 0 })
			requireBlocks(t, done)
			own := tickets(t, filepath.Dir(path))
			require.Len(t, own, 1)
			require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), own[0])))
			err := result(t, done)
			require.ErrorIs(t, err, filelock.ErrLost)
			require.Equal(t, 1, strings.Count(err.Error(), "lost"), "%v", err)
			require.NotContains(t, err.Error(), "\n")
			require.False(t, l.Held())
			requireNoTickets(t, filepath.Dir(path))
		})
	}
}

// TestFlockPeersOneFile: locks of different targets with one peers' file exclude each
// other unless they share, and nobody finds out that one waits for itself.
func TestFlockPeersOneFile(t *testing.T) {
	path := target(t)
	with := filelock.WithFlockPeersFile(path + ".old")
	a, b := newLock(t, path+".a", with), newLock(t, path+".b", with)
	acquire(t, a)
	ctx, cancel := context.WithTimeout(context.Background(), mustBlock)
	defer cancel()
	err := b.Acquire(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var busy *filelock.BusyError
	require.ErrorAs(t, err, &busy)
	require.True(t, busy.Holder.FlockPeer)
	require.NoError(t, a.Unlock())
	require.NoError(t, a.TryLockShared())
	require.NoError(t, b.TryLockShared())
	require.NoError(t, a.Unlock())
	require.NoError(t, b.Unlock())
}

// TestFlockPeersReaders: readers of ours share the file, and while one of them is there
// a peer that wants it for itself waits, though it came before the next one.
func TestFlockPeersReaders(t *testing.T) {
	path := target(t)
	a, b := newLock(t, path, filelock.WithFlockPeers()), newLock(t, path, filelock.WithFlockPeers())
	a.OwnLine()
	require.NoError(t, a.AcquireShared(context.Background()))
	peer, err := openFlock(path)
	require.NoError(t, err)
	defer peer.Close()
	entered := start(func() error { return takeFlock(peer, "waits") })
	eventually(t, "for the peer to wait", func() bool {
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "unix.Flock(")
	})
	requireBlocks(t, entered)
	require.NoError(t, b.TryLockShared())
	require.NoError(t, a.Unlock())
	requireBlocks(t, entered)
	require.NoError(t, b.Unlock())
	require.NoError(t, result(t, entered))
}
