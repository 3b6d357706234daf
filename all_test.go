package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/filelock-go/filelock"
)

// several returns locks of files a, b, … in one directory.
func several(t testing.TB, n int, opts ...filelock.Option) (dir string, locks []*filelock.FileLock) {
	t.Helper()
	dir = t.TempDir()
	for i := range n {
		locks = append(locks, newLock(t, filepath.Join(dir, string(rune('a'+i))), opts...))
	}
	return dir, locks
}

// claims returns the locks from last to first, which is not how they are taken.
func claims(locks []*filelock.FileLock) (all []filelock.Claim) {
	for _, l := range slices.Backward(locks) {
		all = append(all, l)
	}
	return all
}

// requireFree checks that all locks can be had, and that nothing is left.
func requireFree(t testing.TB, dir string, locks []*filelock.FileLock) {
	t.Helper()
	for _, l := range locks {
		require.False(t, l.Held(), l.Path())
		require.NoError(t, l.TryLock())
		require.NoError(t, l.Unlock())
	}
	requireNoTickets(t, dir)
}

// removeTicket removes the one ticket of a name's queue, as an intruder would.
func removeTicket(t testing.TB, dir, name string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, name+".lock.*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.Remove(files[0]))
}

func TestAcquireAll(t *testing.T) {
	logs, take := throughZap(zapcore.DebugLevel)
	dir, locks := several(t, 4, logs)
	for name, acquire := range map[string]func(context.Context, ...filelock.Claim) (func() error, error){
		"AcquireAll": filelock.AcquireAll, "TryAcquireAll": filelock.TryAcquireAll,
	} {
		t.Run(name, func(t *testing.T) {
			take()
			release, err := acquire(t.Context(), locks[2], locks[0], locks[3], locks[1])
			require.NoError(t, err)
			for _, l := range locks {
				require.True(t, l.Held())
				require.ErrorIs(t, newLock(t, l.Path()).TryLock(), filelock.ErrLocked)
			}
			require.NoError(t, release())
			require.NoError(t, release(), "again")
			var steps []string
			for _, e := range take() {
				if e.msg == "acquire" || e.msg == "release" {
					steps = append(steps, e.msg+" "+filepath.Base(e.fields["path"].(string)))
				}
			}
			require.Equal(t, []string{
				"acquire a", "acquire b", "acquire c", "acquire d", "release d", "release c", "release b", "release a",
			}, steps)

			// Release is of what it was returned with, and of nothing else.
			require.NoError(t, locks[1].TryLock())
			require.NoError(t, release())
			require.True(t, locks[1].Held())
			require.NoError(t, locks[1].Unlock())
			requireFree(t, dir, locks)
		})
	}
}

// TestAcquireAllOrder: the order is by name first, so that it does not depend on
// where a directory is seen.
func TestAcquireAllOrder(t *testing.T) {
	logs, take := throughZap(zapcore.DebugLevel)
	root := t.TempDir()
	paths := []string{"y/a", "x/b", "z/b", "x/c"} // in the order in which they are taken
	var all []filelock.Claim
	for _, path := range slices.Backward(paths) {
		all = append(all, newLock(t, filepath.Join(root, path), logs, filelock.WithCreateDirs()))
	}
	release, err := filelock.AcquireAll(t.Context(), all...)
	require.NoError(t, err)
	require.NoError(t, release())
	var taken []string
	for _, e := range take() {
		if path, _ := filepath.Rel(root, e.fields["path"].(string)); e.msg == "acquire" {
			taken = append(taken, filepath.ToSlash(path))
		}
	}
	require.Equal(t, paths, taken)
}

func TestAcquireAllCountsDuplicatesOnce(t *testing.T) {
	dir, locks := several(t, 2)
	first, second := locks[0], locks[1]
	other := filepath.Join(dir, "queue")
	again := newLock(t, filepath.Join(dir, ".", "a"))
	elsewhere := newLock(t, first.Path(), filelock.WithQueueDir(other), filelock.WithCreateDirs())
	release, err := filelock.AcquireAll(t.Context(), again, second, first, elsewhere, second)
	require.NoError(t, err)
	require.Len(t, tickets(t, dir), 2)
	require.Len(t, tickets(t, other), 1, "another queue is another lock")
	require.True(t, again.Held())
	require.False(t, first.Held(), "the first one that names the path holds it")
	require.True(t, elsewhere.Held())
	require.NoError(t, release())
	requireNoTickets(t, other)
	requireFree(t, dir, locks)
}

// TestAllOrNothing: at whatever position it fails, nothing is held after it, and the
// error names the path.
func TestAllOrNothing(t *testing.T) {
	const n = 4
	for i := range n {
		t.Run(fmt.Sprintf("busy at %d", i), func(t *testing.T) {
			dir, locks := several(t, n)
			holder := newLock(t, locks[i].Path())
			acquire(t, holder)
			release, err := filelock.TryAcquireAll(t.Context(), claims(locks)...)
			require.Nil(t, release)
			var busy *filelock.BusyError
			require.ErrorAs(t, err, &busy)
			require.ErrorIs(t, err, filelock.ErrLocked)
			require.Equal(t, locks[i].Path(), busy.Path)
			require.NoError(t, holder.Unlock())
			requireFree(t, dir, locks)
		})
		t.Run(fmt.Sprintf("an error at %d", i), func(t *testing.T) {
			dir, locks := several(t, n)
			gone := filepath.Join(dir, locks[i].Path()[len(dir):]+".d")
			require.NoError(t, os.Mkdir(gone, 0o777))
			broken := newLock(t, filepath.Join(gone, filepath.Base(locks[i].Path())))
			require.NoError(t, os.Remove(gone))
			set := claims(locks)
			set[n-1-i] = broken
			_, err := filelock.AcquireAll(t.Context(), set...)
			require.ErrorIs(t, err, fs.ErrNotExist)
			var failed *filelock.Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, broken.Path(), failed.Path)
			requireFree(t, dir, locks)
		})
		t.Run(fmt.Sprintf("cancelled at %d", i), func(t *testing.T) {
			dir, locks := several(t, n)
			holder := newLock(t, locks[i].Path())
			acquire(t, holder)
			ctx, cancel := context.WithCancelCause(t.Context())
			waits := start(func() error { _, err := filelock.AcquireAll(ctx, claims(locks)...); return err })
			eventually(t, "the wait", func() bool { return locks[i].Waiting() == 1 })
			for j, l := range locks {
				require.Equal(t, j < i, l.Held(), "it holds those before, and none after")
			}
			requireBlocks(t, waits)
			bored := errors.New("bored")
			cancel(bored)
			err := result(t, waits)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, bored)
			var busy *filelock.BusyError
			require.ErrorAs(t, err, &busy)
			require.Equal(t, locks[i].Path(), busy.Path)
			require.NoError(t, holder.Unlock())
			requireFree(t, dir, locks)
		})
	}
}

// TestAcquireAllHasOneDeadline: the shortest timeout of all counts, from the call on.
func TestAcquireAllHasOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := newLock(t, filepath.Join(dir, "a"), filelock.WithTimeout(5*time.Second))
		b := newLock(t, filepath.Join(dir, "b"))
		c := newLock(t, filepath.Join(dir, "c"), filelock.WithTimeout(3*time.Second))
		holdsA, holdsB := newLock(t, a.Path()), newLock(t, b.Path())
		require.NoError(t, holdsA.TryLock())
		require.NoError(t, holdsB.TryLock())
		time.AfterFunc(2*time.Second, func() { _ = holdsA.Unlock() })
		began := time.Now()
		_, err := filelock.AcquireAll(t.Context(), a, b, c)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.ErrorIs(t, err, filelock.ErrTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var busy *filelock.BusyError
		require.ErrorAs(t, err, &busy)
		require.Equal(t, b.Path(), busy.Path)
		require.Equal(t, 3*time.Second, busy.Waited, "for all of them")
		require.NoError(t, holdsB.Unlock())
		requireFree(t, dir, []*filelock.FileLock{a, b, c, holdsA, holdsB})
	})
}

// TestReleaseOfAll: what cannot be given back keeps nothing else, and all errors are
// told, each time.
func TestReleaseOfAll(t *testing.T) {
	dir, locks := several(t, 3)
	release, err := filelock.AcquireAll(t.Context(), claims(locks)...)
	require.NoError(t, err)
	for _, name := range []string{"a", "c"} {
		removeTicket(t, dir, name)
	}
	for range 2 {
		err = release()
		require.ErrorIs(t, err, filelock.ErrLost)
		for i, named := range []bool{true, false, true} {
			if path := locks[i].Path(); named {
				require.ErrorContains(t, err, path+":")
			} else {
				require.NotContains(t, err.Error(), path+":")
			}
		}
	}
	requireFree(t, dir, locks)
}

// TestFailureOfAllTellsWhatIsLeft: an acquisition that fails, and cannot give back
// what it had, says both.
func TestFailureOfAllTellsWhatIsLeft(t *testing.T) {
	dir, locks := several(t, 2)
	holder := newLock(t, locks[1].Path())
	acquire(t, holder)
	ctx, cancel := context.WithCancel(t.Context())
	waits := start(func() error { _, err := filelock.AcquireAll(ctx, claims(locks)...); return err })
	eventually(t, "the wait", func() bool { return locks[1].Waiting() == 1 })
	removeTicket(t, dir, "a")
	cancel()
	err := result(t, waits)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, filelock.ErrLost)
	require.NoError(t, holder.Unlock())
	requireFree(t, dir, locks)
}

func TestAcquireAllOfAnOwner(t *testing.T) {
	dir, locks := several(t, 3)
	me := filelock.ContextWithOwner(t.Context())
	require.NoError(t, locks[1].Acquire(me))
	began := tickets(t, dir)
	_, err := filelock.AcquireAll(me, claims(locks)...)
	require.ErrorIs(t, err, filelock.ErrDeadlock)
	require.ErrorContains(t, err, locks[1].Path())
	require.Equal(t, began, tickets(t, dir), "nothing of it is held after that")
	_, err = filelock.TryAcquireAll(me, claims(locks)...)
	require.ErrorIs(t, err, filelock.ErrLocked, "a try cannot deadlock")
	require.NoError(t, locks[1].Unlock())

	// It does not even wait to say so.
	holder := newLock(t, locks[0].Path())
	acquire(t, holder)
	require.NoError(t, locks[1].Acquire(me))
	err = result(t, start(func() error { _, err := filelock.AcquireAll(me, claims(locks)...); return err }))
	require.ErrorIs(t, err, filelock.ErrDeadlock)
	require.NoError(t, locks[1].Unlock())
	require.NoError(t, holder.Unlock())

	release, err := filelock.AcquireAll(me, claims(locks)...)
	require.NoError(t, err)
	for _, l := range locks {
		require.ErrorIs(t, l.Acquire(me), filelock.ErrDeadlock, "they are the owner's")
	}
	require.NoError(t, release())
	requireFree(t, dir, locks)
}

func TestAcquireAllReentrant(t *testing.T) {
	dir, locks := several(t, 2, filelock.WithReentrant())
	_, err := filelock.AcquireAll(t.Context(), claims(locks)...)
	require.ErrorIs(t, err, filelock.ErrNoOwner)
	requireNoTickets(t, dir)
	me := filelock.ContextWithOwner(t.Context())
	require.NoError(t, locks[1].Acquire(me))
	release, err := filelock.AcquireAll(me, locks[1], locks[0], locks[1])
	require.NoError(t, err)
	require.NoError(t, release())
	require.False(t, locks[0].Held())
	require.True(t, locks[1].Held(), "as before")
	require.NoError(t, locks[1].Unlock())
	require.False(t, locks[1].Held(), "the duplicate counted once")
	requireNoTickets(t, dir)
}

func TestDoAll(t *testing.T) {
	dir, locks := several(t, 2)
	failed := errors.New("failed")
	err := filelock.DoAll(t.Context(), func(ctx context.Context) error {
		for _, l := range locks {
			require.True(t, l.Held())
			require.ErrorIs(t, l.Acquire(ctx), filelock.ErrDeadlock, "its context names an owner")
		}
		return failed
	}, claims(locks)...)
	require.ErrorIs(t, err, failed)
	requireFree(t, dir, locks)

	require.PanicsWithValue(t, "panic", func() {
		_ = filelock.DoAll(t.Context(), func(context.Context) error { panic("panic") }, claims(locks)...)
	})
	requireFree(t, dir, locks)

	acquire(t, locks[0])
	ctx, cancel := context.WithTimeout(t.Context(), mustBlock)
	defer cancel()
	err = filelock.DoAll(ctx, func(context.Context) error { t.Error("called"); return nil }, claims(locks)...)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, locks[0].Unlock())
	requireFree(t, dir, locks)
}

// TestDoAllEndsWhenOneIsLost: the loss of any of them ends the context.
func TestDoAllEndsWhenOneIsLost(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"a", "b"} {
		dir := t.TempDir()
		a := newLock(t, filepath.Join(dir, "a"), filelock.WithLease(time.Second))
		b := newLock(t, filepath.Join(dir, "b"), filelock.WithLease(time.Second))
		err := filelock.DoAll(t.Context(), func(ctx context.Context) error {
			removeTicket(t, dir, lost)
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(stuck):
				return errors.New("stuck")
			}
		}, a, b)
		require.ErrorIs(t, err, filelock.ErrLost)
		require.NotContains(t, err.Error(), "stuck")
		requireNoTickets(t, dir)
	}
}

// TestAcquireAllPanics: when the function of WithOnWait panics, at whatever position, the
// locks before are given back, and their owner has nothing.
func TestAcquireAllPanics(t *testing.T) {
	const n = 3
	panics := filelock.WithOnWait(func(filelock.Wait) { panic("no terminal") })
	for name, way := range map[string]func(context.Context, ...filelock.Claim) error{
		"AcquireAll": func(ctx context.Context, set ...filelock.Claim) error {
			_, err := filelock.AcquireAll(ctx, set...)
			return err
		},
		"DoAll": func(ctx context.Context, set ...filelock.Claim) error {
			return filelock.DoAll(ctx, func(context.Context) error { return nil }, set...)
		},
	} {
		for i := range n {
			t.Run(fmt.Sprintf("%s at %d", name, i), func(t *testing.T) {
				dir, locks := several(t, n, panics)
				me := filelock.ContextWithOwner(t.Context())
				holder := newLock(t, locks[i].Path())
				acquire(t, holder)
				require.PanicsWithValue(t, "no terminal", func() { t.Error(way(me, claims(locks)...)) })
				require.True(t, holder.Held())
				require.NoError(t, holder.Unlock())
				requireFree(t, dir, locks)
				require.NoError(t, way(me, claims(locks)...))
			})
		}
	}
}

// TestAcquireAllGoesOn: a function of WithOnWait that ends its goroutine ends nothing else.
func TestAcquireAllGoesOn(t *testing.T) {
	called := make(chan bool, 1)
	dir, locks := several(t, 2, filelock.WithOnWait(func(filelock.Wait) {
		called <- true
		runtime.Goexit()
	}))
	holder := newLock(t, locks[1].Path())
	acquire(t, holder)
	waits := start(func() error {
		release, err := filelock.AcquireAll(t.Context(), claims(locks)...)
		if err != nil {
			return err
		}
		return release()
	})
	<-called
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, waits))
	requireFree(t, dir, locks)
}

// TestAcquireAllEndsWhenOneIsLost: what is lost while a later one is waited for ends the
// wait.
func TestAcquireAllEndsWhenOneIsLost(t *testing.T) {
	dir, locks := several(t, 3, filelock.WithLease(time.Second))
	holder := newLock(t, locks[2].Path())
	acquire(t, holder)
	waits := start(func() error { _, err := filelock.AcquireAll(t.Context(), claims(locks)...); return err })
	settled(t, locks[2].Path(), 2)
	removeTicket(t, dir, "a")
	err := result(t, waits)
	require.ErrorIs(t, err, filelock.ErrLost)
	require.NotErrorIs(t, err, context.Canceled, "the caller's context goes on")
	var busy *filelock.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, locks[2].Path(), busy.Path)
	require.ErrorIs(t, busy, filelock.ErrLost)
	require.ErrorContains(t, busy, ": "+locks[0].Path()+" was lost meanwhile")
	require.NoError(t, holder.Unlock())
	requireFree(t, dir, locks)
}

// TestAcquireAllDoesNotHaveWhatIsLost: nor is it a success if the loss comes too late to
// end a wait.
func TestAcquireAllDoesNotHaveWhatIsLost(t *testing.T) {
	for name, way := range map[string]func(context.Context, ...filelock.Claim) (func() error, error){
		"AcquireAll": filelock.AcquireAll, "TryAcquireAll": filelock.TryAcquireAll,
	} {
		t.Run(name, func(t *testing.T) {
			dir, locks := several(t, 2, filelock.WithLease(time.Second))
			defer filelock.AtSteps(func(step, ticket string) {
				if step == "after Enter" && strings.HasPrefix(ticket, "b.lock.") {
					removeTicket(t, dir, "a")
					eventually(t, "the loss", func() bool { return !locks[0].Held() })
				}
			})()
			release, err := way(t.Context(), claims(locks)...)
			require.Nil(t, release)
			require.ErrorIs(t, err, filelock.ErrLost)
			require.NotErrorIs(t, err, context.Canceled)
			var failed *filelock.Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, locks[0].Path(), failed.Path)
			for _, l := range locks {
				require.False(t, l.Held())
				require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
			}
			requireNoTickets(t, dir)
		})
	}
}

func TestAcquireAllArguments(t *testing.T) {
	dir, locks := several(t, 1)
	var none *filelock.FileLock
	for name, set := range map[string][]filelock.Claim{"nil": {locks[0], nil}, "a nil lock": {none, locks[0]}} {
		_, err := filelock.AcquireAll(t.Context(), set...)
		require.ErrorIs(t, err, filelock.ErrInvalid, name)
	}
	missing := func() context.Context { return nil }()
	_, err := filelock.AcquireAll(missing, locks[0])
	require.ErrorIs(t, err, filelock.ErrInvalid)
	require.EqualError(t, err, "filelock: acquire: invalid argument: the context is nil")
	require.ErrorIs(t, filelock.DoAll(missing, nil, locks[0]), filelock.ErrInvalid)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = filelock.AcquireAll(done, locks[0])
	require.ErrorIs(t, err, context.Canceled)
	release, err := filelock.AcquireAll(t.Context())
	require.NoError(t, err)
	require.NoError(t, release(), "none of none")
	requireFree(t, dir, locks)
}

// kinds returns the kinds of the tickets of a queue, in its order.
func kinds(t testing.TB, path string) (all []string) {
	t.Helper()
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	for _, ticket := range q.Tickets {
		kind := "exclusive"
		if ticket.Shared {
			kind = "shared"
		}
		all = append(all, kind)
	}
	return all
}

func TestAcquireAllKinds(t *testing.T) {
	dir, locks := several(t, 3)
	a, b, c := locks[0], locks[1], locks[2]
	release, err := filelock.AcquireAll(t.Context(), c.Shared(), b, a.Shared(), b.Shared(), newLock(t, c.Path()))
	require.NoError(t, err)
	require.Equal(t, []string{"shared"}, kinds(t, a.Path()))
	require.Equal(t, []string{"exclusive"}, kinds(t, b.Path()), "the stronger kind wins")
	require.Equal(t, []string{"exclusive"}, kinds(t, c.Path()), "wherever it stands")
	require.False(t, c.Held(), "by the FileLock that claims it")

	both, err := filelock.TryAcquireAll(t.Context(), a.Shared())
	require.NoError(t, err, "readers share")
	require.NoError(t, both())
	_, err = filelock.TryAcquireAll(t.Context(), a.Shared(), b.Shared())
	require.ErrorIs(t, err, filelock.ErrLocked)
	var busy *filelock.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, b.Path(), busy.Path)
	require.Equal(t, "try shared", busy.Op)
	require.NoError(t, release())
	requireFree(t, dir, locks)
}

// TestAcquireAllDoesNotUpgrade: who shares a lock would wait for itself to have it alone.
func TestAcquireAllDoesNotUpgrade(t *testing.T) {
	for _, opts := range [][]filelock.Option{nil, {filelock.WithReentrant()}} {
		dir, locks := several(t, 2, opts...)
		me := filelock.ContextWithOwner(t.Context())
		require.NoError(t, locks[1].AcquireShared(me))
		holder := newLock(t, locks[0].Path())
		require.NoError(t, holder.TryAcquire(filelock.ContextWithOwner(t.Context())))
		err := result(t, start(func() error { _, err := filelock.AcquireAll(me, claims(locks)...); return err }))
		require.ErrorIs(t, err, filelock.ErrDeadlock, "it does not even wait to say so")
		require.NoError(t, holder.Unlock())
		require.False(t, locks[0].Held())
		release, err := filelock.AcquireAll(me, locks[0], locks[1].Shared())
		if opts == nil {
			require.ErrorIs(t, err, filelock.ErrDeadlock)
		} else {
			require.NoError(t, err)
			require.NoError(t, release())
		}
		require.True(t, locks[1].Held())
		require.NoError(t, locks[1].Unlock())
		require.False(t, locks[1].Held())
		requireNoTickets(t, dir)
	}
}
