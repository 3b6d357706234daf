//go:build unix

package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// late is how long after its moment a wait may end: after a timer of the same
// moment has fired, that is, since both may have to wait for a processor.
const late = 200 * time.Millisecond

func TestWaitEndsAtItsMoment(t *testing.T) {
	errBored := errors.New("bored")
	patient := filelock.WithPollInterval(10 * time.Second)
	tests := []struct {
		name    string
		opts    []filelock.Option
		ctx     func() (context.Context, context.CancelFunc)
		matches []error
		not     []error
	}{
		{
			name: "timeout",
			opts: []filelock.Option{patient, filelock.WithTimeout(50 * time.Millisecond)},
			ctx: func() (context.Context, context.CancelFunc) {
				return context.WithCancel(context.Background())
			},
			matches: []error{filelock.ErrTimeout, context.DeadlineExceeded},
			not:     []error{filelock.ErrLocked, context.Canceled},
		},
		{
			name: "deadline",
			opts: []filelock.Option{patient},
			ctx: func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(context.Background(), 50*time.Millisecond)
			},
			matches: []error{context.DeadlineExceeded},
			not:     []error{filelock.ErrTimeout, filelock.ErrLocked},
		},
		{
			name: "cancel with a cause",
			opts: []filelock.Option{patient},
			ctx: func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(context.Background())
				time.AfterFunc(50*time.Millisecond, func() { cancel(errBored) })
				return ctx, func() { cancel(nil) }
			},
			matches: []error{context.Canceled, errBored},
			not:     []error{filelock.ErrTimeout, context.DeadlineExceeded},
		},
	}
	for _, holder := range []string{"another process", "this process"} {
		for _, tt := range tests {
			t.Run(holder+"/"+tt.name, func(t *testing.T) {
				path := target(t)
				pid := os.Getpid()
				if holder == "another process" {
					child := locktest.Start(t, "hold", path)
					child.Expect("held")
					pid = child.Pid()
				} else {
					mine := newLock(t, path)
					acquire(t, mine)
					defer func() { require.NoError(t, mine.Unlock()) }()
				}
				l := newLock(t, path, tt.opts...)
				moment := make(chan time.Time, 1)
				began := time.Now()
				ctx, cancel := tt.ctx()
				defer cancel()
				time.AfterFunc(50*time.Millisecond, func() { moment <- time.Now() })
				err := l.Acquire(ctx)
				ended := time.Now()
				took := ended.Sub(began)
				for _, want := range tt.matches {
					require.ErrorIs(t, err, want)
				}
				for _, not := range tt.not {
					require.NotErrorIs(t, err, not)
				}
				var busy *filelock.BusyError
				require.ErrorAs(t, err, &busy)
				require.Equal(t, pid, busy.Holder.PID)
				require.Equal(t, filelock.Inside, busy.Holder.State)
				require.Equal(t, 1, busy.Ahead)
				require.Equal(t, l.Path(), busy.Path)
				if holder == "this process" {
					require.Contains(t, err.Error(), "held by this process")
				} else {
					require.Contains(t, err.Error(), fmt.Sprintf("pid %d", pid))
				}
				require.InDelta(t, took, busy.Waited, float64(late))
				require.GreaterOrEqual(t, took, 50*time.Millisecond)
				require.Less(t, ended.Sub(<-moment), late)
				require.False(t, l.Held())
				require.Len(t, tickets(t, filepath.Dir(path)), 1, "only the holder's ticket stays")
				t.Logf("returned %v after its moment: %v", took-50*time.Millisecond, err)
			})
		}
	}
}

func TestDoneContextLoses(t *testing.T) {
	path := target(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l := newLock(t, path)
	require.ErrorIs(t, l.Acquire(ctx), context.Canceled)
	require.ErrorIs(t, l.TryAcquire(ctx), context.Canceled)
	require.ErrorIs(t, l.Do(ctx, func(context.Context) error { t.Error("entered"); return nil }), context.Canceled)
	require.False(t, l.Held())
	requireNoTickets(t, filepath.Dir(path))
}

// TestCancelledCrowd has 1,000 waiters give up at random while others pass,
// behind several tickets of this process and of another one.
func TestCancelledCrowd(t *testing.T) {
	path := target(t)
	dir := filepath.Dir(path)
	guard, err := locktest.OpenGuard(filepath.Join(dir, "guard"))
	require.NoError(t, err)
	files, routines := openFiles(t), runtime.NumGoroutine()

	// Different leases make different tickets.
	var locks []*filelock.FileLock
	for i := range 10 {
		locks = append(locks, newLock(t, path, filelock.WithLease(time.Hour+time.Duration(i)*time.Second)))
	}
	var passed, cancelled atomic.Int64
	var group sync.WaitGroup
	for i := range 1000 {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Int64N(int64(200*time.Millisecond))))
			defer cancel()
			err := locks[i%len(locks)].Do(ctx, func(context.Context) error {
				guard.Enter()
				defer guard.Leave()
				time.Sleep(200 * time.Microsecond)
				return nil
			})
			switch {
			case err == nil:
				passed.Add(1)
			case errors.Is(err, context.DeadlineExceeded):
				cancelled.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	t.Logf("%d passed, %d gave up", passed.Load(), cancelled.Load())
	require.Zero(t, guard.Overlaps())
	require.Equal(t, int64(1000), passed.Load()+cancelled.Load())
	require.Positive(t, passed.Load())
	require.Positive(t, cancelled.Load())
	requireNoTickets(t, dir)
	eventually(t, "goroutines were left", func() bool { return runtime.NumGoroutine() <= routines })
	// The inotify instance and the directory are closed after a while.
	eventually(t, "descriptors were left", func() bool { return openFiles(t) <= files })
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("no way to count descriptors here")
	}
	return len(entries)
}
