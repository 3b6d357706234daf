package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/cli"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("command", commandChild)
}

// commandChild is the filelock command. It says when it begins, so that a test
// need not count the time that a process takes to start.
func commandChild(args []string) error {
	locktest.Say("ready")
	os.Exit(cli.Main(args, os.Stdin, os.Stdout, os.Stderr))
	return nil
}

const (
	// hungPatience is how long those wait who come when no answer is to be had,
	// and lastPatience those who wait already: it has to outlast the preparations.
	hungPatience, lastPatience = 300 * time.Millisecond, 2 * time.Second
	// tolerance is how late a wait may end. A quiet machine takes a tenth of it:
	// what is in the log is the figure, and this is for busy ones.
	tolerance = 500 * time.Millisecond
)

// fuse is a FUSE filesystem whose server can be made to answer nothing.
type fuse struct {
	dir    string // where it is mounted
	source string // where its files are
	server *exec.Cmd
	// waiting is a file that tells how many requests the server has to answer.
	waiting string
}

// mountFUSE mounts one. It takes bindfs, or a command in FILELOCK_TEST_FUSE that
// mounts SOURCE at DIR and stays in the foreground.
func mountFUSE(t *testing.T) *fuse {
	t.Helper()
	command := strings.Fields(os.Getenv("FILELOCK_TEST_FUSE"))
	if len(command) == 0 {
		command = []string{"bindfs", "-f"}
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skipf("needs FUSE and bindfs, or a command like it in FILELOCK_TEST_FUSE: %v", err)
	}
	f := &fuse{dir: t.TempDir(), source: t.TempDir()}
	below := device(t, f.dir)
	var said strings.Builder
	f.server = exec.Command(command[0], append(command[1:], f.source, f.dir)...)
	f.server.Stdout, f.server.Stderr = &said, &said
	require.NoError(t, f.server.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.server.Wait()
	}()
	t.Cleanup(func() {
		f.signal(t, syscall.SIGCONT)
		f.signal(t, syscall.SIGTERM) // upon which it unmounts
		select {
		case <-ended:
		case <-time.After(time.Second):
			syscall.Unmount(f.dir, syscall.MNT_DETACH)
			f.server.Process.Kill()
			<-ended
		}
		syscall.Unmount(f.dir, syscall.MNT_DETACH) // if it is still there
	})
	for range 500 {
		select {
		case <-ended:
			t.Skipf("nothing can be mounted here: %v %s", f.server.ProcessState, said.String())
		default:
		}
		if device(t, f.dir) != below {
			f.waiting = filepath.Join(fuseControl(t), fmt.Sprint(unix.Minor(device(t, f.dir))), "waiting")
			return f
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Skip("nothing was mounted within five seconds")
	return nil
}

// fuseControl returns where the kernel tells of all FUSE filesystems.
func fuseControl(t *testing.T) string {
	t.Helper()
	const usual = "/sys/fs/fuse/connections"
	if all, err := os.ReadDir(usual); err == nil && len(all) > 0 {
		return usual
	}
	dir := t.TempDir()
	if err := syscall.Mount("fusectl", dir, "fusectl", 0, ""); err != nil {
		t.Skipf("%s is not mounted, nor can it be: %v", usual, err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func device(t *testing.T, path string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	require.NoError(t, syscall.Stat(path, &st))
	return uint64(st.Dev)
}

func (f *fuse) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := f.server.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		require.NoError(t, err)
	}
}

// stop has the server answer nothing, from when it returns. It picks a moment at
// which no request is under way: a process that has sent one, and the server has
// begun with it, cannot end before the answer. That is the kernel's doing, and no
// program can do anything about it.
//
// Should the test itself be held up, it goes on, and fails, after a while.
func (f *fuse) stop(t *testing.T) {
	t.Helper()
	rescue := time.AfterFunc(stuck, func() { f.server.Process.Signal(syscall.SIGCONT) })
	t.Cleanup(func() { rescue.Stop() })
	eventually(t, "stopping the server", func() bool {
		f.signal(t, syscall.SIGSTOP)
		eventually(t, "stopping its threads", f.stopped)
		text, err := os.ReadFile(f.waiting)
		require.NoError(t, err)
		if strings.TrimSpace(string(text)) == "0" {
			return true
		}
		f.signal(t, syscall.SIGCONT)
		return false
	})
}

// stopped reports whether all threads of the server are.
func (f *fuse) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", f.server.Process.Pid))
	for _, thread := range threads {
		line, err := os.ReadFile(thread)
		if err == nil && !strings.Contains(string(line), ") T ") {
			return false
		}
	}
	return err == nil
}

// waitEnding is how one wait ended.
type waitEnding struct {
	way  string
	late time.Duration // after its moment
	err  error         // nil: as it should
}

// attempt is one way to wait for a lock with an end: it returns when the wait is
// over.
type attempt struct {
	way string
	run func() waitEnding
}

// hungAttempts are the ways to wait for the lock of path, for so long. Each has a
// lock object, and a line, of its own, made now: to make one takes an answer.
func hungAttempts(t *testing.T, path string, patience time.Duration) (all []attempt, locks []*filelock.FileLock) {
	t.Helper()
	add := func(way string, call func(l *filelock.FileLock) error, want error, opts ...filelock.Option) {
		l := newLock(t, path, opts...)
		l.OwnLine()
		locks = append(locks, l)
		all = append(all, attempt{way, func() waitEnding {
			began := time.Now()
			err := call(l)
			e := waitEnding{way: way, late: time.Since(began) - patience}
			switch {
			case err == nil:
				e.err = errors.New("it was granted")
			case !errors.Is(err, want):
				e.err = err
			case l.Held():
				e.err = errors.New("it failed and is held")
			}
			return e
		}})
	}
	deadline := func(call func(l *filelock.FileLock, ctx context.Context) error) func(l *filelock.FileLock) error {
		return func(l *filelock.FileLock) error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return call(l, ctx)
		}
	}
	add("Acquire, deadline", deadline((*filelock.FileLock).Acquire), context.DeadlineExceeded)
	add("Acquire, cancelled", func(l *filelock.FileLock) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer time.AfterFunc(patience, cancel).Stop()
		return l.Acquire(ctx)
	}, context.Canceled)
	add("WithTimeout", func(l *filelock.FileLock) error {
		return l.Acquire(context.Background())
	}, filelock.ErrTimeout, filelock.WithTimeout(patience))
	add("TryAcquire, deadline", deadline((*filelock.FileLock).TryAcquire), context.DeadlineExceeded)
	return all, locks
}

// commands are the ways to wait with the command, which begins at once.
func commands(t *testing.T, path string, patience time.Duration) []attempt {
	t.Helper()
	run := func(args ...any) *locktest.Child {
		c := locktest.Start(t, append([]any{"command", "run"}, args...)...)
		c.Expect("ready")
		return c
	}
	began := time.Now()
	limited := run("-w", patience, path, "echo", "granted")
	patient := run(path, "echo", "granted")
	return []attempt{
		{"filelock run -w", func() waitEnding {
			e := outcome(limited, "exit status 75")
			e.late = time.Since(began) - patience
			return e
		}},
		{"filelock run, SIGTERM", func() waitEnding {
			time.Sleep(time.Until(began.Add(patience)))
			killed := time.Now()
			if err := patient.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return waitEnding{err: err}
			}
			e := outcome(patient, "exit status 143")
			e.late = time.Since(killed)
			return e
		}},
	}
}

// outcome waits for a command's end.
func outcome(c *locktest.Child, want string) waitEnding {
	c.Wait()
	if got := c.Cmd.ProcessState.String(); got != want {
		return waitEnding{err: fmt.Errorf("%s, want %s", got, want)}
	}
	return waitEnding{}
}

// begin runs all hungAttempts at once, and returns what waits for their endings and
// checks that each ended at its moment, as it should.
func begin(all []attempt) (requireEndings func(t *testing.T)) {
	endings := make(chan waitEnding, len(all))
	missing := map[string]bool{}
	for _, a := range all {
		missing[a.way] = true
		go func() {
			e := a.run()
			e.way = a.way
			endings <- e
		}()
	}
	return func(t *testing.T) {
		t.Helper()
		for range all {
			select {
			case e := <-endings:
				delete(missing, e.way)
				t.Logf("%-22s ended %6.1f ms after its moment", e.way, float64(e.late.Microseconds())/1000)
				require.NoError(t, e.err, e.way)
				require.GreaterOrEqual(t, e.late, -time.Millisecond, e.way)
				require.Less(t, e.late, tolerance, e.way)
			case <-time.After(stuck / 3):
				t.Fatalf("stuck: %v", slices.Collect(maps.Keys(missing)))
			}
		}
	}
}

// requireCleanedUp checks that, soon after the server goes on, nothing is left of
// those who gave up: no ticket, no goroutine, and no lock that came late.
func requireCleanedUp(t *testing.T, f *fuse, goroutines int, locks []*filelock.FileLock) {
	t.Helper()
	began := time.Now()
	f.signal(t, syscall.SIGCONT)
	eventually(t, "the goroutines' end", func() bool { return runtime.NumGoroutine() <= goroutines })
	ended := time.Since(began)
	// Those of the commands, which could not wait for that, are left to the next
	// contender, as those of the dead are.
	own := fmt.Sprintf(".%d.", os.Getpid())
	eventually(t, "the tickets' removal", func() bool { return !strings.Contains(fmt.Sprint(tickets(t, f.source)), own) })
	t.Logf("it answers again: goroutines gone after %v, tickets after %v",
		ended.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	for _, l := range locks {
		require.False(t, l.Held(), "it was granted after its end")
	}
}

// requireUsable checks that each lock can be had, and that no ticket is left then.
// A raised entry may be: such litter of those who were ended is swept by one who
// lists twice.
func (f *fuse) requireUsable(t *testing.T, locks []*filelock.FileLock) {
	t.Helper()
	for _, l := range locks {
		ctx, cancel := context.WithTimeout(context.Background(), stuck)
		require.NoError(t, l.Acquire(ctx))
		cancel()
		require.NoError(t, l.Unlock())
	}
	for _, name := range tickets(t, f.source) {
		require.True(t, strings.HasSuffix(name, ".raised"), "%s was left", name)
	}
}

// neighbour is a lock elsewhere, that two contenders of this process take by
// turns. It remembers the longest passage.
type neighbour struct {
	name  string
	stop  atomic.Bool
	worst atomic.Int64
	holds atomic.Int64
	ends  []<-chan error
}

func newNeighbour(t *testing.T, name, dir string) *neighbour {
	t.Helper()
	n := &neighbour{name: name}
	for range 2 {
		l := newLock(t, filepath.Join(dir, "target"))
		l.OwnLine()
		n.ends = append(n.ends, start(func() error { return n.run(l) }))
	}
	return n
}

func (n *neighbour) run(l *filelock.FileLock) error {
	for !n.stop.Load() {
		began := time.Now()
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
		if err := l.Unlock(); err != nil {
			return err
		}
		for took := int64(time.Since(began)); ; {
			worst := n.worst.Load()
			if took <= worst || n.worst.CompareAndSwap(worst, took) {
				break
			}
		}
		n.holds.Add(1)
		time.Sleep(time.Millisecond)
	}
	return nil
}

// end checks that nothing was noticed.
func (n *neighbour) end(t *testing.T) {
	t.Helper()
	n.stop.Store(true)
	for _, c := range n.ends {
		require.NoError(t, result(t, c))
	}
	worst := time.Duration(n.worst.Load())
	t.Logf("beside it, a lock on %s passed %d times, in %v at worst", n.name, n.holds.Load(), worst.Round(100*time.Microsecond))
	require.Less(t, worst, tolerance)
}

// TestHungFilesystem: a server that does not answer holds nobody up beyond the
// end of its wait, grants nothing late, and leaves nothing behind.
func TestHungFilesystem(t *testing.T) {
	t.Run("free", func(t *testing.T) {
		f := mountFUSE(t)
		path := filepath.Join(f.dir, "target")
		ways, locks := hungAttempts(t, path, hungPatience)
		before := runtime.NumGoroutine()
		f.stop(t)
		ways = append(ways, commands(t, path, hungPatience)...)
		begin(ways)(t)
		// What goes on in the background is not in the way of the next.
		begin(ways[:len(locks)])(t)
		requireCleanedUp(t, f, before, locks)
		f.requireUsable(t, locks)
	})

	t.Run("held here", func(t *testing.T) {
		f := mountFUSE(t)
		path := filepath.Join(f.dir, "target")
		holder := newLock(t, path)
		ways, locks := hungAttempts(t, path, hungPatience)
		// One of them stands behind the holder in this process's own line.
		behind := newLock(t, path)
		locks = append(locks, behind)
		ways = append(ways, attempt{"Acquire in the line", func() waitEnding {
			ctx, cancel := context.WithTimeout(context.Background(), hungPatience)
			defer cancel()
			began := time.Now()
			err := behind.Acquire(ctx)
			e := waitEnding{late: time.Since(began) - hungPatience}
			if !errors.Is(err, context.DeadlineExceeded) {
				e.err = fmt.Errorf("it returned %w", err)
			}
			return e
		}})
		before := runtime.NumGoroutine()
		acquire(t, holder)
		waiters := begin(commands(t, path, lastPatience))
		settled(t, path, 3)
		f.stop(t)
		// A new process has what this one has open, and the kernel asks the server
		// about each file that is closed there.
		begin(append(ways, commands(t, path, hungPatience)...))(t)
		waiters(t)

		began := time.Now()
		err := holder.Unlock()
		t.Logf("Unlock took %v: %v", time.Since(began).Round(time.Millisecond), err)
		require.ErrorIs(t, err, filelock.ErrUnanswered)
		require.InDelta(t, 5*time.Second, time.Since(began), float64(tolerance))
		require.False(t, holder.Held())

		requireCleanedUp(t, f, before, append(locks, holder))
		f.requireUsable(t, append(locks, holder))
	})

	t.Run("held elsewhere", func(t *testing.T) {
		f := mountFUSE(t)
		path := filepath.Join(f.dir, "target")
		holder := locktest.Start(t, "hold", path)
		holder.Expect("held")
		ways, locks := hungAttempts(t, path, lastPatience)
		ways = ways[:len(ways)-1] // a try waits for nobody
		lateWays, lateLocks := hungAttempts(t, path, hungPatience)
		before := runtime.NumGoroutine()
		ways = append(ways, commands(t, path, lastPatience)...)
		requireEndings := begin(ways)
		settled(t, path, 1+len(ways))
		f.stop(t)
		begin(lateWays)(t)
		requireEndings(t)
		requireCleanedUp(t, f, before, append(locks, lateLocks...))
		holder.Go()
		holder.Expect("released")
		f.requireUsable(t, locks)
	})
}

// TestHungFilesystemBesideOthers: the locks of other filesystems go on as if
// nothing were.
func TestHungFilesystemBesideOthers(t *testing.T) {
	f, sound := mountFUSE(t), mountFUSE(t)
	path := filepath.Join(f.dir, "target")
	holder := locktest.Start(t, "hold", path)
	holder.Expect("held")
	ways, locks := hungAttempts(t, path, lastPatience)
	ways = ways[:len(ways)-1]
	neighbours := []*neighbour{
		newNeighbour(t, "a disk", t.TempDir()),
		newNeighbour(t, "a FUSE filesystem that answers", sound.dir),
	}
	patient, cancel := context.WithCancel(context.Background())
	defer cancel()
	waiter := newLock(t, path)
	waits := start(func() error { return waiter.Acquire(patient) })
	requireEndings := begin(ways)
	settled(t, path, 2+len(ways))
	f.stop(t)
	requireEndings(t)
	cancel()
	require.ErrorIs(t, result(t, waits), context.Canceled)
	for _, n := range neighbours {
		n.end(t)
	}
	f.signal(t, syscall.SIGCONT)
	holder.Go()
	holder.Expect("released")
	f.requireUsable(t, append(locks, waiter))
}
