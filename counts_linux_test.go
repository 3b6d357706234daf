package filelock_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// The system calls on a filesystem that one kernel alone mounts, exactly, but
// for those of Go's runtime. A call that is not named is not to be made.
var (
	// systemCallsFree are of one hold that nobody else wants, when the
	// directory is open already.
	systemCallsFree = tally{
		"openat": 1, "getdents64": 2, "lseek": 1, "fstat": 1, "fcntl": 2, "newfstatat": 1, "unlinkat": 1, "close": 1,
	}
	// systemCallsRest are the same where the ticket rests: three looks at the
	// directory's times, one at the own name, and the entry lock.
	systemCallsRest = tally{"fcntl": 2, "fstat": 4}
	// systemCallsBehind are what a hold costs in addition where several others
	// are ahead and the number must be raised, and systemCallsPerTicket what each
	// of these others adds to that: one look at its number. Behind many others,
	// bells take the place of inotify: the own one, and that of the one ahead.
	systemCallsBehind = tally{
		"openat": 1, "getdents64": 4, "lseek": 2, "fstat": 5, "fcntl": 5, "newfstatat": 1, "close": 1, "utimensat": 1,
		"inotify_add_watch": 1,
	}
	systemCallsBehindMany = tally{
		"openat": 1, "getdents64": 4, "lseek": 2, "fstat": 5, "fcntl": 6, "newfstatat": 1, "close": 3, "utimensat": 1,
		"socket": 2, "accept4": 1, "bind": 1, "listen": 1, "connect": 1, "getsockopt": 1, "shutdown": 1,
	}
	systemCallsPerTicket = tally{"newfstatat": 1}
)

// crowded is how many processes wait in a test: some of them have so many ahead
// of them that they wait for bells.
const crowded = 20

// runtimeCalls are Go's own: their number depends on the machine. read and
// write are among them, since the runtime's poller wakes itself up by those.
var runtimeCalls = []string{
	"brk", "clock_nanosleep", "clone", "clone3", "epoll_ctl", "epoll_pwait", "exit", "exit_group", "futex", "getpid",
	"getrandom", "gettid", "madvise", "mmap", "mprotect", "munmap", "nanosleep", "prctl", "pread64", "read",
	"restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_getaffinity", "sched_yield",
	"set_robust_list", "sigaltstack", "tgkill", "write",
}

func init() {
	locktest.Register("cycles", cyclesChild)
	locktest.Register("waiter", waiterChild)
}

// cyclesChild takes a lock that nobody else wants and gives it back, so many
// times, with that linger time. If that is not 0 it has come to rest before.
func cyclesChild(args []string) error {
	cycles, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	linger, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	l, err := filelock.New(args[0], filelock.WithLinger(linger))
	if err != nil {
		return err
	}
	if linger > 0 {
		if err := use(l, 2); err != nil {
			return err
		}
		time.Sleep(settling) // by the kernel's clock
	}
	return use(l, cycles)
}

// waiterChild is holdChild, but goes by no clock, says when it waits, and
// counts the calls to its directory in a word of the guard.
func waiterChild(args []string) error {
	path, guardFile := args[0], args[1]
	word, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	guard, err := locktest.OpenGuard(guardFile)
	if err != nil {
		return err
	}
	if _, told := toldOfChanges(); !told {
		locktest.Say(byTheClock)
		return nil
	}
	filelock.AskHeir() // which happens once
	l, err := filelock.New(path, filelock.WithPollInterval(time.Hour))
	if err != nil {
		return err
	}
	waits := false
	filelock.CountSteps(func(_ int, call string) {
		guard.Word(word).Add(1)
		if call == "OpenOther" && !waits {
			waits = true
			locktest.Say("waits")
		}
	})
	return holdUntilTold(l)
}

// expectTold is c.Expect, but skips the test if the child goes by the clock.
func expectTold(t *testing.T, c *locktest.Child, want string) {
	t.Helper()
	got := c.Line()
	if got == byTheClock {
		t.Skip(byTheClock)
	}
	require.Equal(t, want, got)
}

// asleep reports whether a process waits for something to happen: all of its
// threads sleep, and did between two looks.
func asleep(t *testing.T, pid int) bool {
	t.Helper()
	look := func() (switches string, sleep bool) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		require.NoError(t, err)
		if len(files) == 0 {
			t.Skip("there is no telling here whether another process sleeps")
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(text), "State:\tS ") {
				return "", false
			}
			_, counts, _ := strings.Cut(string(text), "voluntary_ctxt_switches:")
			switches += file + counts
		}
		return switches, true
	}
	before, first := look()
	after, second := look()
	return first && second && before == after
}

// TestNobodyElseIsWoken: at a hand-off between processes the next one is
// woken, and the others do not so much as look.
func TestNobodyElseIsWoken(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		path, guardFile := filepath.Join(dir, "target"), filepath.Join(dir, "guard")
		guard, err := locktest.OpenGuard(guardFile)
		require.NoError(t, err)
		l := newLock(t, path)
		acquire(t, l)
		leave := l.Unlock
		var children []*locktest.Child
		for i := range crowded {
			c := locktest.Start(t, "waiter", path, guardFile, i)
			expectTold(t, c, "waits")
			// It says so when it is about to. What it does until it sleeps is not
			// to be counted, and its bell is to hang before the next one comes.
			eventually(t, "the child's sleep", func() bool { return asleep(t, c.Pid()) })
			children = append(children, c)
		}
		var waiting [crowded]int64
		for i := range crowded {
			waiting[i] = guard.Word(i).Load()
		}
		for i, c := range children {
			require.NoError(t, leave())
			c.Expect("held")
			for j := i + 1; j < crowded; j++ {
				require.Equal(t, waiting[j], guard.Word(j).Load(), "number %d was woken as number %d came to hold", j, i)
			}
			leave = func() error {
				c.Go()
				c.Expect("released")
				return nil
			}
		}
		require.NoError(t, leave())
		for i := range children {
			calls := int(guard.Word(i).Load() - waiting[i])
			require.LessOrEqual(t, calls, callsHandOff.sum()+strays, "number %d looked more often than it was woken", i)
		}
	})
}

// straced starts a child whose system calls are counted, and returns them when
// it has ended.
func straced(t *testing.T, args ...any) (c *locktest.Child, calls func() tally) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "calls")
	env, path := locktest.Command(t, args...)
	cmd := exec.Command("strace", "-f", "-c", "-o", out, path)
	cmd.Env = append(os.Environ(), env, "GOGC=off", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c = locktest.StartCmd(t, cmd)
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // the child would outlive strace
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return c, func() tally {
		t.Helper()
		c.Done()
		text, err := os.ReadFile(out)
		require.NoError(t, err)
		calls := tally{}
		for line := range strings.Lines(string(text)) {
			// % time, seconds, usecs/call, calls, errors or nothing, name
			fields := strings.Fields(line)
			if len(fields) < 5 || fields[len(fields)-1] == "total" {
				continue
			}
			if n, err := strconv.Atoi(fields[3]); err == nil {
				calls[fields[len(fields)-1]] = n
			}
		}
		require.NotEmpty(t, calls, "strace's table is not as it was: %s", text)
		return calls
	}
}

// ours returns the calls that are not the runtime's.
func (y tally) ours() tally {
	ours := maps.Clone(y)
	for _, call := range runtimeCalls {
		delete(ours, call)
	}
	return ours
}

// requireStrace skips where system calls cannot be counted.
func requireStrace(t *testing.T) {
	t.Helper()
	if strconv.IntSize < 64 {
		t.Skip("some calls have other names here")
	}
	if out, err := exec.Command("strace", "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("needs strace, and the right to use it: %v %s", err, out)
	}
}

// requireOneKernel skips on a filesystem that may be shared, where more is done.
func requireOneKernel(t *testing.T, dir string) {
	t.Helper()
	v, err := ticketdir.Open(ticketdir.Queue{Dir: dir})
	require.NoError(t, err)
	defer v.Close()
	if !v.OneKernel() {
		t.Skipf("%s is on a filesystem that other machines may mount too", dir)
	}
}

func TestSystemCallsOfFreeLock(t *testing.T) { testSystemCalls(t, 0, systemCallsFree) }

func TestSystemCallsOfRestingLock(t *testing.T) { testSystemCalls(t, time.Hour, systemCallsRest) }

func testSystemCalls(t *testing.T, linger time.Duration, limit tally) {
	requireStrace(t)
	onEach(t, func(t *testing.T, dir string) {
		requireOneKernel(t, dir)
		const few, many = 50, 250
		count := func(cycles int) tally {
			_, calls := straced(t, "cycles", filepath.Join(dir, "target"), cycles, linger)
			return calls()
		}
		// What the start and the end of a process take is in both.
		more := count(many).minus(count(few)).ours()
		perHold, total := tally{}, 0.0
		for call, n := range more {
			exact := float64(n) / (many - few)
			total += exact
			if n := int(math.Round(exact)); n != 0 {
				perHold[call] = n
			}
		}
		t.Logf("%.2f system calls per hold: %v", total, perHold)
		require.Equal(t, limit, perHold, "if it is less, lower the limit")
		require.InDelta(t, limit.sum(), total, 0.5, "now and then it makes more: %v", more)
	})
}

// systemCallsBehindRow returns the system calls of a process that arrives when
// so many others are ahead, waits until all of them have left, and holds.
func systemCallsBehindRow(t *testing.T, dir string, ahead int) tally {
	t.Helper()
	path := filepath.Join(dir, "target")
	var r *row
	if ahead > 0 {
		calls := countCalls(t)
		r = newRow(t, path, time.Hour)
		for i := 1; i < ahead; i++ {
			r.join()
			calls.waits(t, i)
		}
	}
	c, end := straced(t, "waiter", path, filepath.Join(dir, "guard"), 0)
	if ahead > 0 {
		expectTold(t, c, "waits")
	}
	for i := range ahead {
		if i > 0 {
			r.holds(i)
			require.True(t, c.Silent(mustBlock), "it entered a held lock")
		}
		r.leaves(i)
	}
	expectTold(t, c, "held")
	c.Go()
	return end()
}

// TestSystemCallsOfWaiter: each ticket ahead costs one look at an arrival, and
// nothing after that.
func TestSystemCallsOfWaiter(t *testing.T) {
	requireStrace(t)
	requireTold(t)
	for name, tt := range map[string]struct {
		few, many int
		limit     tally
	}{
		"behind some": {4, 12, systemCallsBehind},
		"behind many": {18, 26, systemCallsBehindMany},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				requireOneKernel(t, dir)
				reads := map[int]int{}
				for _, ahead := range []int{tt.few, tt.many} {
					want := maps.Clone(tt.limit)
					for call, n := range systemCallsPerTicket.times(ahead) {
						want[call] += n
					}
					var got tally
					for range strays { // which one time or the other do not happen
						all := systemCallsBehindRow(t, dir, ahead)
						got, reads[ahead] = all.minus(systemCallsBehindRow(t, dir, 0)).ours(), all["read"]
						if maps.Equal(want, got) && reads[ahead] <= reads[tt.few]+strays {
							break
						}
					}
					require.Equal(t, want, got, "%d ahead; if it is less, lower the limit", ahead)
					t.Logf("%d ahead: %d system calls more, %v; %d reads", ahead, got.sum(), got, reads[ahead])
				}
				require.LessOrEqual(t, reads[tt.many], reads[tt.few]+strays, "it was woken by hand-offs between others")
			})
		})
	}
}
