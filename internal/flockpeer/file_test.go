//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package flockpeer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
			file := New(filepath.Join(t.TempDir(), "lock"))
			file.prompt = prompt
			f(t, file)
			eventually(t, "for calls to end", func() bool {
				file.mu.Lock()
				defer file.mu.Unlock()
				return len(file.calls) == 0
			})
		})
	}
}

func brief() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), mustBlock)
}

// waiting returns how many threads wait in flock.
func waiting() (n int) {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "flockpeer.waitLock(") && strings.Contains(stack, "unix.Flock(") {
			n++
		}
	}
	return n
}

// TestLeftBehind: however many give up, one wait is left, and it ends with the
// peer. What it gets then is given back.
func TestLeftBehind(t *testing.T) {
	ways(t, func(t *testing.T, f *File) {
		p := enter(t, f.path, unix.LOCK_EX)
		for range 5 {
			ctx, cancel := brief()
			_, err := f.wait(ctx, Exclusive)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			eventually(t, "for the wait", func() bool { return waiting() == 1 })
		}
		p.leave(t)
		eventually(t, "for the wait's end", func() bool { return waiting() == 0 })
		eventually(t, "for the lock", func() bool {
			l, err := f.try(context.Background(), Exclusive)
			if err == nil {
				require.NoError(t, f.release(l))
			}
			return err == nil
		})
	})
}

// TestTakeOver: the next one goes on with the wait that was left behind.
func TestTakeOver(t *testing.T) {
	ways(t, func(t *testing.T, f *File) {
		p := enter(t, f.path, unix.LOCK_EX)
		ctx, cancel := brief()
		_, err := f.wait(ctx, Exclusive)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		got := make(chan *lock, 1)
		go func() {
			l, err := f.wait(context.Background(), Exclusive)
			if err != nil {
				l = nil
			}
			got <- l
		}()
		eventually(t, "for it to be wanted", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			c := f.calls[call{Exclusive, true}]
			return c != nil && c.wanted
		})
		require.Equal(t, 1, waiting())
		p.leave(t)
		l := <-got
		require.NotNil(t, l)
		_, err = f.try(context.Background(), Shared)
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
	f := New(filepath.Join(t.TempDir(), "lock"))
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
	f := New(filepath.Join(t.TempDir(), "lock"))
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
		f := New(path)
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
