package filelock_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// TestFlockPeersPositions: who waits by a lock with peers is told its position among
// ours as it moves on, and then of the peer.
func TestFlockPeersPositions(t *testing.T) {
	path := target(t)
	peer := startPeer(t, path)
	r := &row{t: t, path: path}
	const ahead = 3
	for i := range ahead { // without the option, so that they hold beside the peer
		r.join()
		if i == 0 {
			r.holds(0)
		}
		settled(t, path, i+1)
	}
	l, waits := observed(t, path, filelock.WithFlockPeers())
	done := start(func() error { return l.Acquire(context.Background()) })
	for i := range ahead {
		w := requireWait(t, waits, ahead-i)
		require.False(t, w.Holder.FlockPeer, "%v", w)
		r.leaves(i)
		if i+1 < ahead {
			r.holds(i + 1)
		}
	}
	w := requireWait(t, waits, 1)
	require.True(t, w.Holder.FlockPeer, "%v", w)
	require.Equal(t, peer.Pid(), w.Holder.PID)
	peer.Go()
	require.NoError(t, result(t, done))
	require.NoError(t, l.Unlock())
}

// TestFlockPeersHeir: who waits by a lock with peers is told that an heir goes on when
// the holder is gone.
func TestFlockPeersHeir(t *testing.T) {
	path := target(t)
	requireOneKernel(t, filepath.Dir(path))
	holder := locktest.Start(t, "bequeath", path)
	heir, err := strconv.Atoi(holder.Line())
	require.NoError(t, err)
	process, err := os.FindProcess(heir)
	require.NoError(t, err)
	t.Cleanup(func() { process.Kill() })
	l, waits := observed(t, path, filelock.WithFlockPeers())
	done := start(func() error { return l.Acquire(context.Background()) })
	w := requireWait(t, waits, 1)
	require.Equal(t, holder.Pid(), w.Holder.PID)
	require.Zero(t, w.Holder.Heir)
	holder.Kill()
	require.Equal(t, heir, requireWait(t, waits, 1).Holder.Heir)
	require.NoError(t, process.Kill())
	require.NoError(t, result(t, done))
	require.NoError(t, l.Unlock())
}

// TestFlockPeersToken: a lock with peers gives tokens, and neither a token nor the lock to
// who has lost its ticket by then.
func TestFlockPeersToken(t *testing.T) {
	path := target(t)
	l := newLock(t, path, filelock.WithFlockPeers(), filelock.WithFencing())
	acquire(t, l)
	first := tokenOf(t, l)
	require.NoError(t, l.Unlock())
	require.NoError(t, l.Close())
	undo := filelock.AtTokenSteps(func(step string) {
		if step == "moved" {
			for _, name := range tickets(t, filepath.Dir(path)) {
				if filepath.Ext(name) == ".pid" {
					assert.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), name)))
				}
			}
		}
	})
	err := l.Acquire(t.Context())
	undo()
	require.ErrorIs(t, err, filelock.ErrLost)
	require.False(t, l.Held())
	requireFlock(t, path, nil)
	acquire(t, l)
	require.Greater(t, tokenOf(t, l), first)
	require.NoError(t, l.Unlock())
}
