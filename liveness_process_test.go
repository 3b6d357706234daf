//go:build linux

package filelock_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v3/process"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

// withAndWithoutLocks runs f where flock works, and where it gives ENOLCK so
// that only the process table is left.
func withAndWithoutLocks(t *testing.T, f func(t *testing.T, w world)) {
	for name, errno := range map[string]int{"witness": 0, "ENOLCK": int(unix.ENOLCK)} {
		t.Run(name, func(t *testing.T) {
			w := world{NoLocks: errno}
			requireWorld(t, w)
			f(t, w)
		})
	}
}

// TestWithoutWitness: where there are no locks, the process table decides.
func TestWithoutWitness(t *testing.T) {
	t.Parallel()
	var all []*standoff
	for name, w := range map[string]world{"ENOLCK": {NoLocks: int(unix.ENOLCK)}, "ENOSYS": {NoLocks: int(unix.ENOSYS)}} {
		requireWorld(t, w)
		s := newStandoff(t, name, t.TempDir(), w, w)
		require.Regexp(t, `alive: pid \d+ runs\)`, s.seen)
		eventually(t, "a ticket that never has a witness must not seem to have lost it", func() bool {
			return !slices.ContainsFunc(tickets(t, filepath.Dir(s.path)), func(file string) bool {
				n, ok := ticket.Parse(ticket.Prefix(filepath.Base(s.path)), file)
				return !ok || n.Place != 0
			})
		})
		// One that has locks must not take their absence for a death.
		require.ErrorIs(t, newLock(t, s.path).TryLock(), filelock.ErrLocked)
		reaped, err := filelock.Reap(s.path)
		require.NoError(t, err)
		require.Empty(t, reaped)
		all = append(all, s)
	}
	requireQuiet(t, all)
	requireRecovery(t, all)
}

// TestWithoutWitnessAndProcess: in another pid namespace and without locks
// nothing can be known, so nobody is ever robbed; the reason is there to see.
func TestWithoutWitnessAndProcess(t *testing.T) {
	t.Parallel()
	var all []*standoff
	for name, worlds := range map[string][2]world{
		"holder without":  {{PIDs: true, NoLocks: int(unix.ENOLCK)}, {}},
		"waiter without":  {{PIDs: true}, {NoLocks: int(unix.EOPNOTSUPP)}},
		"neither has one": {{PIDs: true, NoLocks: int(unix.ENOSYS)}, {PIDs: true, NoLocks: int(unix.ENOSYS)}},
	} {
		requireWorld(t, worlds[:]...)
		s := newStandoff(t, name, t.TempDir(), worlds[0], worlds[1])
		require.Contains(t, s.seen, "unknown: ")
		all = append(all, s)
	}
	requireQuiet(t, all)
	requireHandOver(t, all)
}

// TestZombie: a holder that was killed and that its parent does not reap.
func TestZombie(t *testing.T) {
	withAndWithoutLocks(t, func(t *testing.T, w world) {
		var took []time.Duration
		rounds := 5
		if w.NoLocks != 0 {
			rounds = 1
		}
		for range rounds {
			path := target(t)
			holder := inWorld(t, w, "hold", path)
			holder.Expect("held")
			waiter := inWorld(t, w, "hold", path)
			queued(t, filepath.Dir(path), 2)
			require.True(t, waiter.Silent(mustBlock))
			began := time.Now()
			require.NoError(t, unix.Kill(holder.Pid(), unix.SIGKILL))
			waiter.Expect("held")
			took = append(took, time.Since(began))
			require.Equal(t, "Z", processState(t, holder.Pid()), "it was reaped after all")
			exists, err := process.PidExists(int32(holder.Pid()))
			require.NoError(t, err)
			require.True(t, exists, "gopsutil takes it for alive")
			waiter.Go()
			waiter.Expect("released")
			requireNoTickets(t, filepath.Dir(path))
		}
		t.Logf("kill to the next one's word of holding, with the holder a zombie: median %v, worst %v", median(took), took[len(took)-1])
		limit := 100 * time.Millisecond
		if w.NoLocks != 0 {
			// The kernel reports the ticket's closing before the process is a
			// zombie, and no witness tells to look again soon: the poll does.
			limit = recovery
		}
		require.Less(t, slices.Min(took), limit)
	})
}

// headless marks a child whose main thread is to end: its main function must
// run on it.
const headless = "FILELOCK_TEST_HEADLESS"

func init() {
	if os.Getenv(headless) != "" {
		runtime.LockOSThread()
	}
}

// worldHeadless holds the lock in a process whose main thread ends.
func worldHeadless(w world, args []string) error {
	if unix.Gettid() != os.Getpid() {
		return fmt.Errorf("not on the main thread")
	}
	held := make(chan struct{})
	go func() {
		err := func() error {
			l, err := w.lock(args[0])
			if err != nil {
				return err
			}
			if err := l.Acquire(context.Background()); err != nil {
				return err
			}
			close(held)
			for {
				line, err := os.ReadFile("/proc/self/stat")
				if err != nil {
					return err
				}
				if strings.HasPrefix(string(line[strings.LastIndexByte(string(line), ')'):]), ") Z") {
					break
				}
				time.Sleep(time.Millisecond)
			}
			locktest.Say("held")
			locktest.Gate()
			return l.Unlock()
		}()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}()
	<-held
	syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0) // this thread alone
	panic("unreachable")
}

// TestMainThreadEnded: /proc calls such a process a zombie, but it lives.
func TestMainThreadEnded(t *testing.T) {
	t.Setenv(headless, "1")
	withAndWithoutLocks(t, func(t *testing.T, w world) {
		path := target(t)
		holder := inWorld(t, w, "headless", path)
		holder.Expect("held")
		require.Equal(t, "Z", processState(t, holder.Pid()))
		waiter := inWorld(t, w, "contend", path)
		waiter.Line()
		seen := waiter.Line()
		t.Logf("/proc says state Z of pid %d; the verdict on it: %s", holder.Pid(), seen)
		require.Regexp(t, "(alive|inside): ", seen)
		require.True(t, waiter.Silent(300*time.Millisecond), "it entered a held lock")
		holder.Go()
		waiter.Expect("held")
		holder.Done()
		waiter.Go()
		waiter.Expect("released")
		requireNoTickets(t, filepath.Dir(path))
	})
}

// TestReusedPID: a live process has the dead owner's pid by now, but not its
// start.
func TestReusedPID(t *testing.T) {
	alive := locktest.Idler()
	require.NoError(t, alive.Start())
	t.Cleanup(func() { alive.Process.Kill(); alive.Wait() })
	start := startOf(t, alive.Process.Pid)
	withAndWithoutLocks(t, func(t *testing.T, w world) {
		path := target(t)
		as := func(start uint64) func(*ticket.Name) {
			return func(n *ticket.Name) {
				n.PID, n.Start = alive.Process.Pid, start
				if w.NoLocks != 0 {
					n.Place = 0
				}
			}
		}
		reused, same := plant(t, path, as(start-1)), plant(t, path, as(start))
		holdWitness(t, same)
		later := time.Now().Add(-time.Second) // behind the other one
		require.NoError(t, os.Chtimes(same, later, later))
		reaper := inWorld(t, w, "reap", path)
		reaper.Expect(fmt.Sprintf("dead: pid %d is another process by now", alive.Process.Pid))
		seen := reaper.Line()
		t.Logf("the ticket of the process itself: %s", seen)
		require.Contains(t, seen, "alive: ")
		reaper.Expect("reaped 1, error <nil>")
		require.NoFileExists(t, reused)
		require.FileExists(t, same)
	})
}

// startOf returns a process's start in ticks since boot, read without the
// package under test.
func startOf(t *testing.T, pid int) uint64 {
	t.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	start, err := strconv.ParseUint(startField(line), 10, 64)
	require.NoError(t, err)
	return start
}

// startField returns the start from a process's line in /proc.
func startField(line []byte) string {
	return strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))[19]
}

// noChoice is what worldReuse says where it can do nothing.
const noChoice = "the next pid cannot be chosen here"

// worldReuse has a holder killed and its pid really given to another process,
// in a pid namespace of its own where it can choose the next pid.
func worldReuse(w world, args []string) error {
	holderEnv := args[1]
	self, err := os.Executable()
	if err != nil {
		return err
	}
	holder := exec.Command(self)
	holder.Env = append(os.Environ(), holderEnv)
	if _, err := holder.StdinPipe(); err != nil {
		return err
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		return err
	}
	if err := holder.Start(); err != nil {
		return err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		return fmt.Errorf("the holder said %q: %v", line, err)
	}
	pid := holder.Process.Pid
	started, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	holder.Process.Kill()
	holder.Wait()
	// Our own threads take pids, too: it may take some attempts.
	for range 1000 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			locktest.Say("%s: %v", noChoice, err)
			return nil
		}
		other := locktest.Idler()
		if err := other.Start(); err != nil {
			return err
		}
		now, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", other.Process.Pid))
		if err != nil {
			return err
		}
		// In the tick of the first one's start it would be the same process to us.
		if other.Process.Pid == pid && startField(now) != startField(started) {
			locktest.Say("pid %d is given to another process", pid)
			defer other.Wait()
			defer other.Process.Kill()
			return worldReap(w, args)
		}
		other.Process.Kill()
		other.Wait()
	}
	return fmt.Errorf("pid %d was not to be had again", pid)
}

func TestReallyReusedPID(t *testing.T) {
	requireWorld(t, world{PIDs: true})
	path := target(t)
	env, _ := locktest.Command(t, "world", "{}", "hold", path)
	child := inWorld(t, world{PIDs: true}, "reuse", path, env)
	first := child.Line()
	t.Log(first)
	if strings.HasPrefix(first, noChoice) {
		t.Skip(first)
	}
	seen := child.Line()
	t.Log(seen)
	require.Regexp(t, `^dead: pid \d+ is another process by now$`, seen)
	child.Expect("reaped 1, error <nil>")
	requireNoTickets(t, filepath.Dir(path))
}

// TestClockSteps: the wall clock by which a ticket was made, or the time that
// somebody wrote into it since, has no part in any verdict.
func TestClockSteps(t *testing.T) {
	withAndWithoutLocks(t, func(t *testing.T, w world) {
		for _, step := range []time.Duration{-time.Hour, time.Hour} {
			t.Run(step.String(), func(t *testing.T) {
				t.Parallel()
				path := target(t)
				stepped := w
				stepped.Stamp = step
				holder := inWorld(t, stepped, "hold", path)
				holder.Expect("held")
				waiter := inWorld(t, w, "contend", path)
				waiter.Line()
				seen := waiter.Line()
				require.Regexp(t, "(alive|inside): ", seen)
				require.True(t, waiter.Silent(300*time.Millisecond), "it entered a held lock")
				began := time.Now()
				holder.Kill()
				waiter.Expect("held")
				t.Logf("clock stepped by %v since the ticket was made: %s; taken over %v after the kill", -step, seen, time.Since(began).Round(time.Millisecond))
				require.Less(t, time.Since(began), recovery)

				// Times rewritten: a dead owner's ticket, and a live one's.
				at := time.Now().Add(step)
				dead := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
				live := plant(t, path, func(*ticket.Name) {})
				holdWitness(t, live)
				require.NoError(t, os.Chtimes(dead, at, at))
				require.NoError(t, os.Chtimes(live, at, at))
				reaped, err := filelock.Reap(path)
				require.NoError(t, err)
				require.Len(t, reaped, 1)
				require.Equal(t, filepath.Base(dead), filepath.Base(reaped[0].Path))
				require.FileExists(t, live)
			})
		}
	})
}

// TestTimeNamespace: there all processes seem to have started at other times,
// by /proc, and the clock that counts from the boot has other values.
func TestTimeNamespace(t *testing.T) {
	withAndWithoutLocks(t, func(t *testing.T, w world) {
		later := w
		later.Later = "3600"
		requireWorld(t, later)
		for name, worlds := range map[string][2]world{"holder later": {later, w}, "waiter later": {w, later}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				path := target(t)
				holder := inWorld(t, worlds[0], "hold", path)
				holder.Expect("held")
				waiter := inWorld(t, worlds[1], "contend", path)
				t.Logf("the waiter: %s", waiter.Line())
				seen := waiter.Line()
				t.Log(seen)
				require.Regexp(t, "(alive|inside): ", seen)
				require.True(t, waiter.Silent(300*time.Millisecond), "it entered a held lock")
				holder.Kill()
				waiter.Expect("held")
				waiter.Go()
				waiter.Expect("released")
			})
		}
	})
}

// TestHiddenProcess: /proc may hide other users' processes, which live.
func TestHiddenProcess(t *testing.T) {
	t.Parallel()
	var all []*standoff
	var without *standoff
	for name, errno := range map[string]int{"witness": 0, "ENOLCK": int(unix.ENOLCK)} {
		user := world{NoLocks: errno, HidePID: true, UID: 65534}
		requireWorld(t, user)
		s := newStandoff(t, name, shared(t, 0o777), world{NoLocks: errno}, user)
		require.Regexp(t, "(alive|inside): ", s.seen)
		require.Contains(t, s.seen, "PidExists of its pid: false", "it is not hidden")
		if all = append(all, s); errno != 0 {
			without = s
		}
	}
	requireQuiet(t, all)
	// Without a witness, a zombie's pid is all that can be seen.
	without.holder.Kill()
	requireRecovery(t, all)
}

// TestStickyDirectory: another user's dead ticket may not be removed there. It
// is skipped by everybody, with no error, until its owner's user comes.
func TestStickyDirectory(t *testing.T) {
	withAndWithoutLocks(t, func(t *testing.T, w world) {
		dead, other := w, w
		dead.UID, other.UID = alice, bob
		requireWorld(t, dead, other)
		dir := shared(t, sticky)
		path := filepath.Join(dir, "target")
		killed := inWorld(t, dead, "hold", path)
		killed.Expect("held")
		killed.Kill()
		left := tickets(t, dir)
		require.Len(t, left, 1)

		for range 2 {
			began := time.Now()
			first := inWorld(t, other, "hold", path)
			first.Expect("held")
			t.Logf("another user passed %s, which it may not remove, in %v with its start", left[0], time.Since(began).Round(time.Millisecond))
			second := inWorld(t, other, "hold", path)
			queued(t, dir, 3)
			require.True(t, second.Silent(mustBlock), "it entered a held lock")
			first.Go()
			first.Expect("released")
			second.Expect("held")
			second.Go()
			second.Expect("released")
			require.Equal(t, left, tickets(t, dir))
		}
		reaper := inWorld(t, other, "reap", path)
		require.Contains(t, reaper.Line(), "dead: ")
		seen := reaper.Line()
		t.Logf("a reaper without the right: %s", seen)
		require.Contains(t, seen, "operation not permitted")

		own := inWorld(t, dead, "hold", path)
		own.Expect("held")
		own.Go()
		own.Expect("released")
		requireNoTickets(t, dir)
	})
}

// TestStickyContainer: where a free witness is all there is to go by, and the
// ticket may not be removed, it is not passed by either: its owner may be late
// for its witness, and only the removal would tell it so. Whoever may remove it
// lets the others through.
func TestStickyContainer(t *testing.T) {
	t.Parallel()
	other := world{UID: alice}
	requireWorld(t, other)
	dir := shared(t, sticky)
	path := filepath.Join(dir, "target")
	plant(t, path, func(n *ticket.Name) { n.PIDSpace = ticket.HashOf("container") })
	user := inWorld(t, other, "hold", path)
	require.True(t, user.Silent(liveness.Grace+300*time.Millisecond), "it passed an owner that may be late")
	reaped, err := filelock.Reap(path)
	require.NoError(t, err)
	require.Len(t, reaped, 1)
	user.Expect("held")
	t.Logf("a user waited for %s, which root removed", reaped[0])
	user.Go()
	user.Expect("released")
	requireNoTickets(t, dir)
}
