package filelock_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/engine/enginetest"
	"github.com/filelock-go/filelock/engine/memengine"
)

// TestLocksOfFiles runs what every kind of queue must pass over files.
func TestLocksOfFiles(t *testing.T) {
	const lease = 2 * time.Second
	dir := t.TempDir()
	var names atomic.Int32
	enginetest.Locks(t, enginetest.World{
		Lease:   lease,
		Options: []filelock.Option{filelock.WithLease(lease), filelock.WithPollInterval(20 * time.Millisecond)},
		NewName: func(*testing.T) string { return filepath.Join(dir, fmt.Sprintf("target-%d", names.Add(1))) },
		NewClient: func(*testing.T) enginetest.Client {
			lines := map[string]*filelock.FileLock{}
			return enginetest.Client{
				Lock: func(name string, opts ...filelock.Option) (*filelock.FileLock, error) {
					l, err := filelock.New(name, opts...)
					switch {
					case err != nil:
					case lines[name] == nil:
						lines[name] = l
						l.OwnLine()
					default:
						l.LineOf(lines[name])
					}
					return l, err
				},
				Inspect: func(name string) (filelock.Queue, error) { return filelock.Inspect(name) },
			}
		},
		Rob: func(t *testing.T, name string) {
			q, err := filelock.Inspect(name)
			require.NoError(t, err)
			require.NoError(t, os.Remove(q.Tickets[0].Path))
		},
	})
}

// TestEngineOptions: what a name and a service have no use for is refused.
func TestEngineOptions(t *testing.T) {
	var service memengine.Service
	with := filelock.WithEngine(service.Engine())
	for name, opt := range map[string]filelock.Option{
		"WithQueueDir":       filelock.WithQueueDir(t.TempDir()),
		"WithFileMode":       filelock.WithFileMode(0o600),
		"WithCreateDirs":     filelock.WithCreateDirs(),
		"WithPlainPeers":     filelock.WithPlainPeers(),
		"WithFlockPeers":     filelock.WithFlockPeers(),
		"WithFlockPeersFile": filelock.WithFlockPeersFile("name.lock"),
		"WithEngine":         filelock.WithEngine(nil),
	} {
		_, err := filelock.New("name", with, opt)
		require.ErrorIs(t, err, filelock.ErrInvalid, name)
		require.ErrorContains(t, err, name[len("With")+1:])
	}
	for _, name := range []string{"", "/", ".", "..", "a/", "../a", "a/../..", "a\x00b"} {
		_, err := filelock.New(name, with)
		require.ErrorIs(t, err, filelock.ErrInvalid, "%q", name)
	}
	for name, clean := range map[string]string{"/a//b": "/a/b", "a/./b": "a/b", "/../a": "/a", "a b": "a b"} {
		l, err := filelock.New(name, with)
		require.NoError(t, err, "%q", name)
		require.Equal(t, clean, l.Path())
	}
	require.NoFileExists(t, "name")
}

func TestEngineLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var service memengine.Service
		mine, other := service.Engine(), service.Engine()
		l := newLock(t, "a/name", filelock.WithEngine(mine))
		_, err := l.Place()
		require.ErrorIs(t, err, filelock.ErrNotLocked)
		require.NoError(t, l.Acquire(t.Context()))
		place, err := l.Place()
		require.NoError(t, err)
		require.NotZero(t, place.Serial)
		require.Equal(t, filelock.DefaultEngineLease, place.Lease)
		_, err = l.Witness()
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorIs(t, l.Bequeath(), errors.ErrUnsupported)
		require.NoError(t, l.Close())
		require.True(t, l.Held())

		same := newLock(t, "a/name", filelock.WithEngine(mine))
		ctx := filelock.ContextWithOwner(t.Context())
		require.ErrorIs(t, same.TryLock(), filelock.ErrLocked)
		require.Equal(t, 1, service.Queued("a/name"), "who stands behind another goroutine asks nobody")

		apart := newLock(t, "/a/../a/name", filelock.WithEngine(other))
		require.NoError(t, apart.TryLock(), "the names differ by the slash")
		require.NoError(t, apart.Unlock())
		err = newLock(t, "a/../a/name", filelock.WithEngine(other), filelock.WithReentrant()).TryAcquire(ctx)
		require.ErrorIs(t, err, filelock.ErrLocked)
		require.ErrorContains(t, err, "held by memory pid")
		require.ErrorContains(t, err, "its lease is 10s")
		reaped, err := filelock.Reap("a/name", filelock.WithEngine(other))
		require.NoError(t, err)
		require.Empty(t, reaped)
		q, err := filelock.Inspect("a/name", filelock.WithEngine(other))
		require.NoError(t, err)
		require.Len(t, q.Tickets, 1)
		require.Equal(t, filelock.Inside, q.Tickets[0].State)
		require.Contains(t, q.Tickets[0].Reason, "left")

		mine.Break(memengine.Cut)
		time.Sleep(2 * filelock.DefaultEngineLease)
		_, err = l.Place()
		require.ErrorIs(t, err, filelock.ErrLost)
		require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
		_, err = filelock.Inspect("a/name", filelock.WithEngine(mine))
		require.ErrorIs(t, err, engine.ErrUnavailable)

		f := newLock(t, target(t))
		require.NoError(t, f.Acquire(t.Context()))
		_, err = f.Place()
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.NoError(t, f.Unlock())
		require.NoError(t, f.Close())
		synctest.Wait()
		time.Sleep(time.Minute)
	})
}

// TestEvictOverEngine: an operator takes any place away, and whoever had it is told.
func TestEvictOverEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var service memengine.Service
		operator := filelock.WithEngine(service.Engine())
		holder := newLock(t, "name", filelock.WithEngine(service.Engine()))
		require.NoError(t, holder.Acquire(t.Context()))
		lost := holder.Lost()
		var waits []<-chan error
		var locks []*filelock.FileLock
		for range 2 {
			l := newLock(t, "name", filelock.WithEngine(service.Engine()))
			locks = append(locks, l)
			waits = append(waits, start(func() error { return l.Acquire(t.Context()) }))
			synctest.Wait()
		}
		q, err := filelock.Inspect("name", operator)
		require.NoError(t, err)
		require.Len(t, q.Tickets, 3)

		_, err = filelock.Evict("name", "nobody", operator)
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = filelock.Evict("other", q.Tickets[0].Path, operator)
		require.ErrorIs(t, err, fs.ErrNotExist, "it is no ticket of that lock")

		waiter, err := filelock.Evict("name", q.Tickets[1].Path, operator)
		require.NoError(t, err)
		require.Equal(t, q.Tickets[1].Path, waiter.Path)
		require.Equal(t, filelock.Alive, waiter.State)
		require.ErrorIs(t, <-waits[0], filelock.ErrLost)
		require.True(t, holder.Held())

		evicted, err := filelock.Evict("name", q.Tickets[0].Path, operator)
		require.NoError(t, err)
		require.Equal(t, filelock.Inside, evicted.State)
		<-lost
		require.NoError(t, <-waits[1])
		require.False(t, holder.Held())
		require.ErrorIs(t, holder.Unlock(), filelock.ErrLost)
		require.NoError(t, locks[1].Unlock())

		_, err = filelock.Evict("name", q.Tickets[0].Path, operator)
		require.ErrorIs(t, err, fs.ErrNotExist)
		cut := service.Engine()
		cut.Break(memengine.Cut)
		_, err = filelock.Evict("name", q.Tickets[0].Path, filelock.WithEngine(cut))
		require.ErrorIs(t, err, engine.ErrUnavailable)
	})
}
