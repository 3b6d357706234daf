package filelock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// tokenOf returns the token of what l holds.
func tokenOf(t testing.TB, l *filelock.FileLock) uint64 {
	t.Helper()
	n, err := l.Token()
	require.NoError(t, err)
	require.NotZero(t, n)
	return n
}

func TestTokenErrors(t *testing.T) {
	path := target(t)
	without, with := newLock(t, path), newLock(t, path, filelock.WithFencing())
	var failure *filelock.Error

	_, err := without.Token()
	require.ErrorIs(t, err, filelock.ErrNoFencing)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "token", failure.Op)
	acquire(t, without)
	_, err = without.Token()
	require.ErrorIs(t, err, filelock.ErrNoFencing)
	require.NoError(t, without.Unlock())
	require.NoFileExists(t, path+".lock.fence", "nothing is kept without the option")

	_, err = with.Token()
	require.ErrorIs(t, err, filelock.ErrNotLocked)
	require.ErrorAs(t, err, &failure)
	acquire(t, with)
	tokenOf(t, with)
	require.NoError(t, with.Unlock())
	_, err = with.Token()
	require.ErrorIs(t, err, filelock.ErrNotLocked)
}

// TestTokensGrow: with every grant, however it came about.
func TestTokensGrow(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "target")
		l := newLock(t, path, filelock.WithFencing())
		other := newLock(t, path, filelock.WithFencing(), filelock.WithLease(time.Minute))
		last := uint64(0)
		grown := func(l *filelock.FileLock) {
			t.Helper()
			n := tokenOf(t, l)
			require.Greater(t, n, last)
			require.Equal(t, n, tokenOf(t, l), "it is the grant's")
			last = n
		}
		for range 20 {
			for _, l := range []*filelock.FileLock{l, other} {
				acquire(t, l)
				grown(l)
				require.NoError(t, l.Unlock())
				require.NoError(t, l.TryLock())
				grown(l)
				require.NoError(t, l.Unlock())
				require.NoError(t, l.Do(t.Context(), func(context.Context) error { grown(l); return nil }))
				release, err := l.Hold(t.Context())
				require.NoError(t, err)
				grown(l)
				require.NoError(t, release())
			}
			require.NoError(t, l.Close())
			require.NoError(t, newLock(t, path).Do(t.Context(), func(context.Context) error { return nil }), "one without the option is none of its business")
		}
		_, err := filelock.Reap(path)
		require.NoError(t, err)
		acquire(t, l)
		grown(l)
		require.NoError(t, l.Unlock())
		require.NoError(t, l.Close())
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		require.Equal(t, "target.lock.fence", entries[0].Name())
		entries, err = os.ReadDir(filepath.Join(dir, "target.lock.fence"))
		require.NoError(t, err)
		require.Len(t, entries, 1)
		q, err := filelock.Inspect(path)
		require.NoError(t, err)
		require.Empty(t, q.Tickets, "the record is no ticket")
	})
}

// TestTokensInABatch: goroutines that share a ticket share no token.
func TestTokensInABatch(t *testing.T) {
	const goroutines, rounds = 8, 50
	l := newLock(t, target(t), filelock.WithFencing(), filelock.WithBatch(time.Hour))
	var tokens []uint64 // guarded by l
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range rounds {
				assert.NoError(t, l.Do(t.Context(), func(context.Context) error {
					n, err := l.Token()
					tokens = append(tokens, n)
					return err
				}))
			}
		})
	}
	group.Wait()
	require.Len(t, tokens, goroutines*rounds)
	for i := range tokens[1:] {
		require.Greater(t, tokens[i+1], tokens[i])
	}
}

// TestTokenOfReentrantHolds: they share their grant's.
func TestTokenOfReentrantHolds(t *testing.T) {
	path := target(t)
	opts := []filelock.Option{filelock.WithReentrant(), filelock.WithFencing()}
	l, same := newLock(t, path, opts...), newLock(t, path, opts...)
	ctx := filelock.ContextWithOwner(t.Context())
	require.NoError(t, l.Acquire(ctx))
	first := tokenOf(t, l)
	require.NoError(t, same.Acquire(ctx))
	require.Equal(t, first, tokenOf(t, same))
	require.NoError(t, l.Unlock())
	require.Equal(t, first, tokenOf(t, same))
	require.NoError(t, same.Unlock())

	without := newLock(t, path, filelock.WithReentrant())
	require.NoError(t, without.Acquire(ctx))
	require.NoError(t, same.Acquire(ctx))
	_, err := same.Token()
	require.ErrorIs(t, err, filelock.ErrNoFencing, "the grant was made without")
	require.NoError(t, errors.Join(same.Unlock(), without.Unlock()))
	require.NoError(t, same.Acquire(ctx))
	require.Greater(t, tokenOf(t, same), first)
	require.NoError(t, same.Unlock())
}

// TestNoTokenNoLock: an acquisition that gets no token fails as itself, and holds
// nothing.
func TestNoTokenNoLock(t *testing.T) {
	path := target(t)
	l := newLock(t, path, filelock.WithFencing())
	require.NoError(t, os.WriteFile(path+".lock.fence", []byte("data of somebody's"), 0o644))
	for _, acquire := range []func() error{
		func() error { return l.Acquire(t.Context()) },
		l.TryLock,
		func() error { return l.Do(t.Context(), func(context.Context) error { t.Error("called"); return nil }) },
		func() error { _, err := l.Hold(t.Context()); return err },
	} {
		err := acquire()
		require.ErrorIs(t, err, filelock.ErrFencingRecord)
		require.NotErrorIs(t, err, filelock.ErrLocked)
		require.ErrorContains(t, err, path+".lock.fence")
		require.False(t, l.Held())
		other := newLock(t, path)
		require.NoError(t, other.TryLock(), "it was not given back")
		require.NoError(t, other.Unlock())
	}
	text, err := os.ReadFile(path + ".lock.fence")
	require.NoError(t, err)
	require.Equal(t, "data of somebody's", string(text))
	require.NoError(t, os.Remove(path+".lock.fence"))
	acquire(t, l)
	tokenOf(t, l)
	require.NoError(t, l.Unlock())
}

// TestLostBeforeItsToken: who has lost the lock by the time it has a token gets
// neither, with and without a lease.
func TestLostBeforeItsToken(t *testing.T) {
	for name, opts := range map[string][]filelock.Option{"no lease": nil, "lease": {filelock.WithLease(time.Minute)}} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			l := newLock(t, path, append(opts, filelock.WithFencing())...)
			acquire(t, l)
			before := tokenOf(t, l)
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
			require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
			acquire(t, l)
			require.Greater(t, tokenOf(t, l), before+1, "that token is gone, and not given to another")
			require.NoError(t, l.Unlock())
		})
	}
}

// TestTokenOfALostLock: a token is no use any more.
func TestTokenOfALostLock(t *testing.T) {
	path := target(t)
	l := newLock(t, path, filelock.WithFencing(), filelock.WithLease(time.Second))
	acquire(t, l)
	lost := l.Lost()
	for _, name := range tickets(t, filepath.Dir(path)) {
		if filepath.Ext(name) == ".pid" {
			require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), name)))
		}
	}
	<-lost
	_, err := l.Token()
	require.ErrorIs(t, err, filelock.ErrLost)
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
}

// TestRecordNames: a record is beside the tickets, however long the target's name
// is, and no target.
func TestRecordNames(t *testing.T) {
	dir := t.TempDir()
	long := make([]byte, 255)
	for i := range long {
		long[i] = 'x'
	}
	for _, base := range []string{string(long), string(long[:254]) + "y", "target"} {
		l := newLock(t, filepath.Join(dir, base), filelock.WithFencing())
		acquire(t, l)
		require.NoError(t, l.Unlock())
		require.NoError(t, l.Close())
	}
	queue := filepath.Join(dir, "queue")
	require.NoError(t, os.Mkdir(queue, 0o755))
	elsewhere := newLock(t, filepath.Join(dir, "target"), filelock.WithFencing(), filelock.WithQueueDir(queue))
	acquire(t, elsewhere)
	require.NoError(t, elsewhere.Unlock())
	require.NoError(t, elsewhere.Close())
	for at, want := range map[string]int{filepath.Join(dir, "*.lock.fence"): 3, filepath.Join(queue, "target~*.lock.fence"): 1} {
		found, err := filepath.Glob(at)
		require.NoError(t, err)
		require.Len(t, found, want, at)
	}
	for _, name := range []string{"target.lock.fence", "other.lock.fence"} {
		_, err := filelock.New(filepath.Join(dir, name))
		require.ErrorIs(t, err, filelock.ErrInvalid, name)
	}
}
