//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package flockpeer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/turn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mustBlock = 10 * time.Millisecond
	stuck     = 30 * time.Second
)

// peer has a flock on a file until it leaves.
type peer struct{ file *os.File }

func enter(t *testing.T, path string, how int) peer {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	require.NoError(t, err)
	require.NoError(t, unix.Flock(int(file.Fd()), how|unix.LOCK_NB))
	t.Cleanup(func() { file.Close() })
	return peer{file}
}

func (p peer) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, p.file.Close())
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(stuck); !ok(); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "stuck: %s", what)
	}
}

// ways are a file whose filesystem asks no server, and one that may.
func ways(t *testing.T, f func(t *testing.T, file *File)) {
	for name, prompt := range map[string]bool{"prompt": true, "by a server": false} {
		t.Run(name, func(t *testing.T) {
			file := Of(filepath.Join(t.TempDir(), "lock"))
			file.prompt = prompt
			f(t, file)
			eventually(t, "for calls to end", file.isIdle)
		})
	}
}

// isIdle reports whether no call waits, or has a lock to give back.
func (f *File) isIdle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls == [2]*call{}
}

func brief() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), mustBlock)
}

// waiting returns how many threads wait in flock.
func waiting() (n int) {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "flockpeer.(*File).run(") && strings.Contains(stack, "unix.Flock(") {
			n++
		}
	}
	return n
}

// giveUp waits for a lock for a moment, in vain. The moment begins when the call is about
// to wait in flock: one that is not wanted before that ends, and leaves nothing behind.
func (f *File) giveUp(t *testing.T, kind Kind) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := f.wait(ctx, kind)
		done <- err
	}()
	assert.Eventually(t, func() bool { return f.isInFlock(kind) }, stuck, time.Millisecond)
	select {
	case err := <-done:
		assert.Fail(t, "it did not block", "%v", err)
		return
	case <-time.After(mustBlock):
	}
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)
}

// isInFlock reports whether a call of the kind waits in flock, or is about to.
func (f *File) isInFlock(kind Kind) bool {
	f.mu.Lock()
	c := f.calls[kind]
	f.mu.Unlock()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lock != nil
}

// TestLeftBehind: however many give up, at once or one after another, and however often
// their locks are made anew, one wait of a kind is left, and it ends with the peer. What
// it gets then is given back.
func TestLeftBehind(t *testing.T) {
	one := func(t *testing.T, f *File) { f.giveUp(t, Exclusive) }
	for name, test := range map[string]struct {
		giveUp func(t *testing.T, f *File)
		left   int
	}{
		"one after another": {one, 1},
		"several at once": {func(t *testing.T, f *File) {
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() { f.giveUp(t, Shared) })
			}
			all.Wait()
		}, 1},
		"of both kinds": {func(t *testing.T, f *File) { one(t, f); f.giveUp(t, Shared) }, 2},
		"locks made anew": {func(t *testing.T, f *File) {
			runtime.GC() // of what was left of a file that nobody uses
			one(t, Of(f.path))
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			p := enter(t, path, unix.LOCK_EX)
			for range 5 {
				test.giveUp(t, Of(path))
				eventually(t, "for the wait", func() bool { return waiting() == test.left })
			}
			p.leave(t)
			eventually(t, "for the wait's end", func() bool { return waiting() == 0 })
			eventually(t, "for the lock", func() bool {
				file, err := os.Open(path)
				require.NoError(t, err)
				defer file.Close()
				return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
			})
		})
	}
}

// TestTryBesideLeftBehind: what was left behind gets the lock as the peer leaves, and
// keeps no try out; nor does anything keep a peer out once the lock is given back.
//
//  1. call   waits in flock(2), and nobody wants it any more
//  2. peer   leaves; the kernel wakes the call, or has given it the lock
//  3. try    asks for the lock
//  4. call   hears that it has the lock, and gives it back
func TestTryBesideLeftBehind(t *testing.T) {
	const rounds = 20
	names := map[Kind]string{Exclusive: "exclusive", Shared: "shared"}
	for _, left := range [][]Kind{{Exclusive}, {Shared}, {Exclusive, Shared}} {
		for try, name := range names {
			t.Run(fmt.Sprint(name, " beside ", len(left), " ", names[left[0]]), func(t *testing.T) {
				ways(t, func(t *testing.T, f *File) {
					ctx, cancel := context.WithTimeout(context.Background(), stuck)
					defer cancel()
					for range rounds {
						p := enter(t, f.path, unix.LOCK_EX)
						for _, kind := range left {
							f.giveUp(t, kind)
						}
						eventually(t, "for the wait", func() bool { return waiting() == len(left) })
						p.leave(t)
						l, err := f.try(ctx, try)
						require.NoError(t, err)
						requireReturned(t, l)
						require.NoError(t, f.release(l))
						l, err = f.try(ctx, try)
						require.NoError(t, err)
						require.NoError(t, f.release(l))
						eventually(t, "for the wait's end", f.isIdle)
						enter(t, f.path, unix.LOCK_EX).leave(t)
					}
				})
			})
		}
	}
}

// requireReturned checks, of a lock that was taken over, that the call is through with it:
// else the kernel could give it the lock once more, after it was given back.
func requireReturned(t *testing.T, l *lock) {
	t.Helper()
	if l.returned == nil {
		return // it was not taken over
	}
	select {
	case <-l.returned:
	default:
		t.Fatal("flock goes on")
	}
}

// TestTryBesideWait: a try takes nothing from who waits.
func TestTryBesideWait(t *testing.T) {
	const rounds = 20
	ways(t, func(t *testing.T, f *File) {
		for range rounds {
			p := enter(t, f.path, unix.LOCK_EX)
			got := make(chan *lock, 1)
			go func() {
				l, _ := f.wait(context.Background(), Exclusive)
				got <- l
			}()
			eventually(t, "for the wait", func() bool { return waiting() == 1 })
			p.leave(t)
			l, err := f.try(context.Background(), Exclusive)
			if err == nil { // it was quicker, on its own
				require.Nil(t, l.returned, "it took the lock of who waits")
				require.NoError(t, f.release(l))
			}
			l = <-got
			require.NotNil(t, l)
			require.NoError(t, f.release(l))
		}
	})
}

// TestSeveralWait: who has the lock by other queues waits in the same call, the first
// one first, and who gives up is in nobody's way.
func TestSeveralWait(t *testing.T) {
	ways(t, func(t *testing.T, f *File) {
		p := enter(t, f.path, unix.LOCK_EX)
		var got []chan *lock
		want := func(ctx context.Context) {
			c := make(chan *lock, 1)
			got = append(got, c)
			go func() {
				l, _ := f.wait(ctx, Exclusive)
				c <- l
			}()
			eventually(t, "for it to wait", func() bool { return f.wanted(Exclusive) == len(got) })
		}
		want(context.Background())
		ctx, cancel := context.WithCancel(context.Background())
		want(ctx)
		want(context.Background())
		require.Equal(t, 1, waiting())
		cancel()
		require.Nil(t, <-got[1])
		p.leave(t)
		first := <-got[0]
		require.NotNil(t, first)
		require.Empty(t, got[2], "two have it")
		require.NoError(t, f.release(first))
		third := <-got[2]
		require.NotNil(t, third)
		require.NoError(t, f.release(third))
	})
}

// wanted returns how many wait for the call of a kind.
func (f *File) wanted(kind Kind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls[kind] == nil {
		return 0
	}
	return len(f.calls[kind].wanted)
}

// TestFollows: a file that was removed is not waited for, by who began to before or
// after that, though a peer may keep it for ever.
func TestFollows(t *testing.T) {
	for _, before := range []bool{true, false} {
		ways(t, func(t *testing.T, f *File) {
			f.followed = time.Millisecond
			p := enter(t, f.path, unix.LOCK_EX)
			if !before {
				f.giveUp(t, Exclusive) // and leaves a call on the old file behind
			}
			replace := func() peer {
				other := enter(t, f.path+".new", unix.LOCK_EX)
				require.NoError(t, os.Rename(f.path+".new", f.path))
				return other
			}
			var other peer
			if !before {
				other = replace()
			}
			got := make(chan *lock, 1)
			go func() {
				l, _ := f.wait(context.Background(), Exclusive)
				got <- l
			}()
			eventually(t, "for it to wait", func() bool { return waiting() > 0 && f.wanted(Exclusive) == 1 })
			if before {
				other = replace()
			}
			eventually(t, "for the call on the new file", func() bool { return waiting() == 2 })
			require.Empty(t, got)
			other.leave(t)
			l := <-got
			require.NotNil(t, l)
			require.NoError(t, f.release(l))
			p.leave(t)
		})
	}
}

// TestServerSilent: while a try is not answered, others give up at their moment, and
// make no call of their own.
func TestServerSilent(t *testing.T) {
	f := Of(filepath.Join(t.TempDir(), "lock"))
	f.prompt = false
	f.tries <- struct{}{} // one that a server does not answer
	for range 5 {
		ctx, cancel := brief()
		_, err := f.try(ctx, Exclusive)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoFileExists(t, f.path)
	}
	<-f.tries
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	l, err := f.try(ctx, Exclusive)
	require.NoError(t, err)
	require.NoError(t, f.release(l))
}

// TestTakeOver: the next one goes on with the wait that was left behind.
func TestTakeOver(t *testing.T) {
	ways(t, func(t *testing.T, f *File) {
		p := enter(t, f.path, unix.LOCK_EX)
		f.giveUp(t, Exclusive)
		got := make(chan *lock, 1)
		go func() {
			l, _ := f.wait(context.Background(), Exclusive)
			got <- l
		}()
		eventually(t, "for it to be wanted", func() bool { return f.wanted(Exclusive) == 1 })
		require.Equal(t, 1, waiting())
		p.leave(t)
		l := <-got
		require.NotNil(t, l)
		_, err := f.try(context.Background(), Shared)
		require.Equal(t, errRefused, err)
		require.NoError(t, f.release(l))
	})
}

// TestKinds: readers are together, also with peers, and a wait of one kind is not
// taken over for the other.
func TestKinds(t *testing.T) {
	ways(t, func(t *testing.T, f *File) {
		reader := enter(t, f.path, unix.LOCK_SH)
		ctx, cancel := context.WithTimeout(context.Background(), stuck)
		defer cancel()
		a, err := f.try(ctx, Shared)
		require.NoError(t, err)
		b, err := f.wait(ctx, Shared)
		require.NoError(t, err)
		_, err = f.try(ctx, Exclusive)
		require.Equal(t, errRefused, err)
		short, end := brief()
		_, err = f.wait(short, Exclusive)
		end()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, f.release(a))
		c, err := f.wait(ctx, Shared)
		require.NoError(t, err)
		require.NoError(t, f.release(b))
		require.NoError(t, f.release(c))
		reader.leave(t)
	})
}

// TestReplaced: a lock on a file that the path does not name any more is none.
func TestReplaced(t *testing.T) {
	ways(t, func(t *testing.T, f *File) {
		p := enter(t, f.path, unix.LOCK_EX)
		got := make(chan *lock, 1)
		go func() {
			l, _ := f.wait(context.Background(), Exclusive)
			got <- l
		}()
		eventually(t, "for the wait", func() bool { return waiting() == 1 })
		require.NoError(t, os.Remove(f.path))
		p.leave(t)
		l := <-got
		require.NotNil(t, l)
		other, err := os.Open(f.path)
		require.NoError(t, err)
		defer other.Close()
		require.Equal(t, unix.EWOULDBLOCK, unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB))
		require.NoError(t, os.Remove(f.path))
		require.ErrorIs(t, f.release(l), turn.ErrLost)
	})
}

// TestForkedCopy: a copy of the descriptor, as a child has it before it becomes another
// program, does not keep the lock.
func TestForkedCopy(t *testing.T) {
	f := Of(filepath.Join(t.TempDir(), "lock"))
	l, err := f.try(context.Background(), Exclusive)
	require.NoError(t, err)
	flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC, "every child would have it")
	dup, err := unix.Dup(l.fd)
	require.NoError(t, err)
	defer unix.Close(dup)
	require.NoError(t, f.release(l))
	enter(t, f.path, unix.LOCK_EX)
}

// TestFIFO: nothing is waited for but the lock.
func TestFIFO(t *testing.T) {
	f := Of(filepath.Join(t.TempDir(), "lock"))
	require.NoError(t, unix.Mkfifo(f.path, 0o600))
	l, err := f.try(context.Background(), Exclusive)
	require.NoError(t, err)
	require.NoError(t, f.release(l))
}

// TestBubble: in a bubble the file is polled, since its clock stands still while
// anybody waits in a system call.
func TestBubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	p := enter(t, path, unix.LOCK_EX)
	synctest.Test(t, func(t *testing.T) {
		f := Of(path)
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		began := time.Now()
		_, err := f.wait(ctx, Exclusive)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Hour, time.Since(began))
		time.AfterFunc(time.Minute, func() { p.file.Close() })
		l, err := f.wait(context.Background(), Exclusive)
		require.NoError(t, err)
		require.NoError(t, f.release(l))
	})
}

// TestOwner: the pid of who has the lock is told, and 0 if nobody has.
func TestOwner(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it is told on Linux only")
	}
	path := filepath.Join(t.TempDir(), "lock")
	p := enter(t, path, unix.LOCK_EX)
	require.Equal(t, os.Getpid(), ownerOf(path))
	p.leave(t)
	require.Zero(t, ownerOf(path))
}

// TestOpenFails: what went wrong is told, and with what.
func TestOpenFails(t *testing.T) {
	ways(t, func(t *testing.T, f *File) {
		f.path = filepath.Join(f.path, "missing", "lock")
		ctx, cancel := context.WithTimeout(context.Background(), stuck)
		defer cancel()
		for _, lock := range []func(context.Context, Kind) (*lock, error){f.try, f.wait} {
			_, err := lock(ctx, Exclusive)
			var pe *os.PathError
			require.True(t, errors.As(err, &pe), "%v", err)
			require.Equal(t, "open", pe.Op)
			require.Equal(t, f.path, pe.Path)
		}
	})
}
