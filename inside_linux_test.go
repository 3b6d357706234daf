package filelock_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	worldMains["idle"] = worldIdle
	worldMains["visit"] = worldVisit
	worldMains["rival"] = worldRival
	worldMains["wrap"] = worldWrap
	worldMains["heir"] = worldHeir
}

// Users that own nothing else here.
const alice, bob, carol = 65531, 65532, 65533

// sticky is the mode of a directory in which everybody may create, and remove
// what is his own.
const sticky = 0o777 | syscall.S_ISVTX

// together runs subtests side by side, however few processors there are: nearly
// all that they do is wait.
func together[T any](t *testing.T, all []T, name func(T) string, run func(t *testing.T, one T)) {
	t.Helper()
	var group sync.WaitGroup
	for _, one := range all {
		group.Go(func() { t.Run(name(one), func(t *testing.T) { run(t, one) }) })
	}
	group.Wait()
}

// attempts is how often what must never happen gets its chance.
func attempts() int {
	if *soak > 0 {
		return rounds
	}
	return 1
}

// watched is a guard for processes of any user, in a file of its own: in a
// sticky directory others could not open it.
func watched(t *testing.T) (guard *locktest.Guard, file string) {
	t.Helper()
	file = filepath.Join(shared(t, 0o777), "guard")
	guard, err := locktest.OpenGuard(file)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(file, 0o666))
	return guard, file
}

// visit takes the lock and is inside until it is told to leave.
func visit(l *filelock.FileLock, guard *locktest.Guard) error {
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	guard.Enter()
	locktest.Say("held")
	locktest.Gate()
	guard.Leave()
	if err := l.Unlock(); err != nil {
		return err
	}
	locktest.Say("released")
	return nil
}

func (w world) open(path, guard string) (*filelock.FileLock, *locktest.Guard, error) {
	g, err := locktest.OpenGuard(guard)
	if err != nil {
		return nil, nil, err
	}
	l, err := w.lock(path)
	return l, g, err
}

// worldVisit visits a lock; "when told" is for those whom the test has plans
// for before.
func worldVisit(w world, args []string) error {
	runtime.LockOSThread() // a tracer counts each thread's calls
	l, guard, err := w.open(args[0], args[1])
	if err != nil {
		return err
	}
	if len(args) > 2 && args[2] == "when told" {
		// What is done once in a process's life is done now.
		other, err := w.lock(args[0] + " other")
		if err != nil {
			return err
		}
		if err := other.Do(context.Background(), func(context.Context) error { return nil }); err != nil {
			return err
		}
		locktest.Say("ready")
		locktest.Gate()
	}
	return visit(l, guard)
}

// worldRival tries to get in beside a holder in every way, says what came of it,
// and waits.
func worldRival(w world, args []string) error {
	l, guard, err := w.open(args[0], args[1])
	if err != nil {
		return err
	}
	tried := l.TryLock()
	if tried == nil {
		guard.Enter()
		return fmt.Errorf("a try entered; overlaps: %d", guard.Overlaps())
	}
	reaped, reap := filelock.Reap(args[0])
	if len(reaped) > 0 {
		return fmt.Errorf("a reap removed %v", reaped)
	}
	first := "nobody"
	q, inspect := filelock.Inspect(args[0])
	if t, ok := q.Holder(); ok {
		first = t.String()
	}
	locktest.Say("tried: %v; reaped: %v; sees: %s, %v", tried, reap, first, inspect)
	return visit(l, guard)
}

func worldIdle(world, []string) error {
	locktest.Say("ready")
	locktest.Gate()
	return nil
}

// worldWrap holds the lock for a command that inherits it. It never reads its
// input, which is the command's.
func worldWrap(w world, args []string) error {
	l, guard, err := w.open(args[0], args[1])
	if err != nil {
		return err
	}
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	guard.Enter()
	witness, err := l.Witness()
	if err != nil {
		return err
	}
	call, err := json.Marshal([]string{"world", "{}", "heir", args[1]})
	if err != nil {
		return err
	}
	// Another user may not see the path of this program.
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), locktest.ChildEnv+"="+string(call))
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{witness}
	if err := command.Start(); err != nil {
		return err
	}
	return command.Wait()
}

// worldHeir is a command that knows nothing of locks.
func worldHeir(_ world, args []string) error {
	guard, err := locktest.OpenGuard(args[0])
	if err != nil {
		return err
	}
	locktest.Say("held")
	locktest.Say("%d", os.Getpid())
	locktest.Gate()
	guard.Leave()
	return nil
}

// ending is how a holder goes.
type ending int

const (
	handsOver ending = iota
	isKilled
	leavesAnHeir // it is killed at once, and the command that it ran lives on
)

// siege is a holder, and a rival that tries in every way to get in beside it.
type siege struct {
	name          string
	mode          uint32 // of the directory
	group         int    // of the directory
	holder, rival world
	end           ending
	sees          string // what the rival says of the holder
	// stays: what the holder leaves blocks the rival, who may not know or may not
	// remove it, until somebody who may does.
	stays bool
}

// round returns how long it took the rival to enter once it might.
func (s *siege) round(t *testing.T, quiet time.Duration) time.Duration {
	t.Helper()
	dir := shared(t, s.mode)
	if s.group != 0 {
		give(t, dir, -1, s.group)
		require.NoError(t, syscall.Chmod(dir, s.mode)) // a change of owner may clear bits
	}
	path := filepath.Join(dir, "target")
	guard, file := watched(t)
	main := "visit"
	if s.end == leavesAnHeir {
		main = "wrap"
	}
	holder := inWorld(t, s.holder, main, path, file)
	holder.Expect("held")
	if s.end == leavesAnHeir {
		var heir int
		_, err := fmt.Sscan(holder.Line(), &heir)
		require.NoError(t, err)
		t.Cleanup(func() { syscall.Kill(heir, syscall.SIGKILL) })
		require.NoError(t, holder.Cmd.Process.Kill())
		_, err = holder.Cmd.Process.Wait() // so that its pid is gone
		require.NoError(t, err)
	}

	rival := inWorld(t, s.rival, "rival", path, file)
	seen := rival.Line()
	require.Regexp(t, s.sees, seen)
	queued(t, dir, 2)
	require.True(t, rival.Silent(quiet), "it entered beside the holder, whom it saw so: %s; overlaps: %d", seen, guard.Overlaps())

	switch s.end {
	case isKilled:
		guard.Leave() // on its behalf, and before, so that nobody is quicker
		holder.Kill()
	default:
		holder.Go()
	}
	began := time.Now()
	if s.stays {
		require.True(t, rival.Silent(quiet), "it passed what it cannot know about: %s", seen)
		reaped, err := filelock.Reap(path)
		require.NoError(t, err)
		require.Len(t, reaped, 1)
		began = time.Now()
	}
	rival.Expect("held")
	took := time.Since(began)
	require.Less(t, took, recovery)
	rival.Go()
	rival.Expect("released")
	require.Zero(t, guard.Overlaps())
	require.EqualValues(t, 2, guard.Holds())
	if s.mode&syscall.S_ISVTX == 0 {
		requireNoTickets(t, dir)
	}
	if *soak == 0 {
		t.Logf("the holder, as the rival saw it: %s; the rival entered after %v", seen, took.Round(time.Millisecond))
	}
	return took
}

// besiege runs the rounds of many sieges side by side.
func besiege(t *testing.T, all []*siege) {
	t.Helper()
	together(t, all, func(s *siege) string { return s.name }, func(t *testing.T, s *siege) {
		requireWorld(t, s.holder, s.rival)
		var worst time.Duration
		for round := range attempts() {
			quiet := liveness.Grace + 300*time.Millisecond
			if *soak > 0 && round == 0 {
				quiet = liveness.StallGrace + time.Second
			}
			worst = max(worst, s.round(t, quiet))
		}
		t.Logf("%d rounds, 0 overlaps, nobody let in beside the holder; entered after it within %v", attempts(), worst.Round(time.Millisecond))
	})
}

// TestNeverBesideAHolder: users, masks, modes, directories and boot ids in which
// conclusions about a holder would be wrong.
func TestNeverBesideAHolder(t *testing.T) {
	t.Parallel()
	a, b := world{UID: alice}, world{UID: bob}
	masked, narrow := world{UID: alice, Umask: 0o077}, world{UID: alice, Mode: 0o600}
	group := world{UID: alice, Group: carol, Umask: 0o007}
	container := world{PIDs: true, Boot: anotherBoot(t)}
	theirs := world{PIDs: true, Boot: anotherBoot(t), UID: alice, Umask: 0o077}
	const inside, unseen = "inside: entry held", "its locks cannot be seen"
	besiege(t, []*siege{
		{name: "two users, sticky", mode: sticky, holder: a, rival: b, end: isKilled, sees: inside},
		{name: "two users", mode: 0o777, holder: a, rival: b, end: isKilled, sees: inside},
		{name: "two users of a group", mode: 0o770 | syscall.S_ISGID, group: carol, holder: group,
			rival: world{UID: bob, Group: carol, Umask: 0o007}, end: isKilled, sees: inside},
		{name: "two users of a group, sticky", mode: 0o770 | syscall.S_ISGID | syscall.S_ISVTX, group: carol, holder: group,
			rival: world{UID: bob, Group: carol}, end: isKilled, sees: inside},
		{name: "umask 077, sticky", mode: sticky, holder: masked, rival: b, end: isKilled, sees: inside},
		{name: "umask 077", mode: 0o777, holder: masked, rival: b, end: isKilled, sees: inside},
		{name: "mode 0600, sticky", mode: sticky, holder: narrow, rival: b, end: isKilled, sees: unseen, stays: true},
		{name: "mode 0600", mode: 0o777, holder: narrow, rival: b, end: isKilled, sees: unseen, stays: true},
		{name: "holder with a boot id of its own", mode: 0o777, holder: container, end: isKilled, sees: inside},
		{name: "rival with a boot id of its own", mode: 0o777, rival: container, end: isKilled, sees: inside},
		{name: "both with boot ids of their own, two users, umask 077", mode: 0o777, holder: theirs,
			rival: world{PIDs: true, Boot: anotherBoot(t), UID: bob}, end: isKilled, sees: inside},
		{name: "boot ids, two users, sticky", mode: sticky, holder: theirs, rival: b, end: isKilled, sees: inside, stays: true},
	})
}

// TestNeverBesideAnHeir: a wrapper was killed, and the command that it ran
// lives: nobody enters until that has ended.
func TestNeverBesideAnHeir(t *testing.T) {
	t.Parallel()
	a, b := world{UID: alice}, world{UID: bob}
	masked := world{UID: alice, Umask: 0o077}
	boot := world{Boot: anotherBoot(t)}
	blind := world{Refuse: []refusal{{Call: unix.SYS_FCNTL, Arg: 1, Value: unix.F_OFD_GETLK, Errno: int(unix.ENOLCK)}}}
	const heir, unseen = `inside: entry held by an heir; pid \d+ is gone`, "its locks could not be looked at"
	besiege(t, []*siege{
		{name: "same user", mode: 0o777, end: leavesAnHeir, sees: heir},
		{name: "two users", mode: 0o777, holder: a, rival: b, end: leavesAnHeir, sees: heir},
		{name: "umask 077", mode: 0o777, holder: masked, rival: b, end: leavesAnHeir, sees: heir},
		{name: "umask 077, sticky", mode: sticky, holder: masked, rival: b, end: leavesAnHeir, sees: heir},
		{name: "mode 0600", mode: 0o777, holder: world{UID: alice, Mode: 0o600}, rival: b, end: leavesAnHeir,
			sees: "its locks cannot be seen", stays: true},
		{name: "boot id of its own", mode: 0o777, holder: boot, end: leavesAnHeir, sees: "inside: entry held"},
		{name: "ENOLCK at the probe", mode: 0o777, rival: blind, end: leavesAnHeir, sees: unseen, stays: true},
		{name: "ENOLCK at each lock", mode: 0o777, rival: world{NoLocks: int(unix.ENOLCK)}, end: leavesAnHeir, sees: unseen, stays: true},
	})
}

// TestNeverByABadAnswer: the open that looks at a holder's ticket is answered by
// an error that servers and devices give for reasons of their own. It proves
// nothing.
func TestNeverByABadAnswer(t *testing.T) {
	t.Parallel()
	var all []*siege
	for _, errno := range []unix.Errno{unix.ELOOP, unix.ENXIO, unix.ENODEV} {
		all = append(all, &siege{
			name: unix.ErrnoName(errno), mode: 0o777, sees: "unknown: .*" + errno.Error(),
			rival: world{Refuse: []refusal{{
				Call: unix.SYS_OPENAT, Arg: 2, Errno: int(errno),
				Value: unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
			}}},
		})
	}
	besiege(t, all)
}

// refusal is a system call that fails, whenever one of its arguments has a
// value.
type refusal struct {
	Call  uint32
	Arg   uint32
	Value uint32
	Errno int
}

// refuseCalls has the kernel refuse calls of this process.
func refuseCalls(all []refusal) error {
	const arguments, size = 16, 8 // in struct seccomp_data, on a little-endian machine
	var filter []unix.SockFilter
	for _, r := range all {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the call's number
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: r.Call},
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: arguments + size*r.Arg},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: r.Value},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(r.Errno)},
		)
	}
	return installFilter(append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}))
}

// slowAt delays a process's first call of a kind for a target's ticket.
func slowAt(call string) {
	delayed := false
	filelock.AtSteps(func(step, name string) {
		if step == "before "+call && strings.HasPrefix(name, "target.lock.") && !delayed {
			delayed = true
			locktest.Say("late")
			time.Sleep(tardiness)
		}
	})
}

// tardiness is how late a slow owner is for its lock: far later than the grace.
const tardiness = 3 * time.Second

// delayLocks has a tracer delay the first call for a lock of each of a child's
// threads. It reports whether there is one, and it may.
func delayLocks(t *testing.T, c *locktest.Child) bool {
	t.Helper()
	tracer := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fcntl",
		"-e", fmt.Sprintf("inject=fcntl:delay_enter=%d:when=1", tardiness.Microseconds()), "-p", fmt.Sprint(c.Pid()))
	if tracer.Start() != nil {
		return false
	}
	ended := make(chan struct{})
	go func() { defer close(ended); tracer.Wait() }()
	t.Cleanup(func() { tracer.Process.Kill(); <-ended })
	refused := false
	eventually(t, "the tracer", func() bool {
		select {
		case <-ended:
			refused = true
		default:
		}
		return refused || traced(t, c.Pid())
	})
	return !refused
}

// traced reports whether all threads of a process are.
func traced(t *testing.T, pid int) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "TracerPid:\t0\n") {
			return false
		}
	}
	return len(files) > 0
}

// calls reports whether one of a process's threads is in a system call.
func calls(t *testing.T, pid int, call uintptr) bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	require.NoError(t, err)
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(text), fmt.Sprint(call, " ")) {
			return true
		}
	}
	return false
}

// mayTrace reports whether the calls of a child in such a world can be delayed
// from outside: it tries, since another user's takes another right.
func mayTrace(t *testing.T, w world) bool {
	t.Helper()
	c := inWorld(t, w, "idle")
	c.Expect("ready")
	return delayLocks(t, c)
}

// slowness is an owner that is late for a lock on its own ticket, and others
// who come meanwhile.
type slowness struct {
	name       string
	mode       uint32
	slow, next world
	waits      bool // it is late for its witness, behind a holder, and not for its entry
	// stays: the next one may not remove its ticket, and waits for it.
	stays bool
}

// TestSlowInItsDoorway: past the grace a slow owner's ticket may be removed,
// which costs it its place. When it goes on it finds that out before it is
// inside:
//
//  1. A creates its ticket, finds nobody ahead, and is about to lock it.
//  2. B comes, finds A's ticket without any lock for the grace, removes it and
//     enters.
//  3. A locks its ticket, looks for its name, finds none, and starts anew.
func TestSlowInItsDoorway(t *testing.T) {
	t.Parallel()
	together(t, []*slowness{
		{name: "entry", mode: 0o777},
		{name: "entry, two users", mode: 0o777, slow: world{UID: alice}, next: world{UID: bob}},
		{name: "entry, two users, sticky", mode: sticky, slow: world{UID: alice}, next: world{UID: bob}, stays: true},
		{name: "entry, in a container", mode: 0o777, slow: world{PIDs: true, Boot: anotherBoot(t), UID: alice, Umask: 0o077}, next: world{UID: bob}},
		{name: "witness", mode: 0o777, waits: true},
		{name: "witness, in a container", mode: 0o777, waits: true, slow: world{PIDs: true, Boot: anotherBoot(t)}},
	}, func(s *slowness) string { return s.name }, func(t *testing.T, s *slowness) {
		requireWorld(t, s.slow, s.next)
		trace := mayTrace(t, s.slow)
		for round := range attempts() {
			// Without a tracer, and now and then with one, the child delays itself.
			s.round(t, trace && (*soak == 0 || round%2 == 0))
		}
		t.Logf("%d rounds, an owner %v late in its doorway: 0 overlaps", attempts(), tardiness)
	})
}

func (s *slowness) round(t *testing.T, trace bool) {
	t.Helper()
	dir := shared(t, s.mode)
	path := filepath.Join(dir, "target")
	guard, file := watched(t)
	w := s.slow
	if !trace {
		w.Slow = "Enter"
		if s.waits {
			w.Slow = "Settle"
		}
	}
	slow := inWorld(t, w, "visit", path, file, "when told")
	slow.Expect("ready")
	if trace {
		require.True(t, delayLocks(t, slow), "the tracer ended")
	}
	next := inWorld(t, s.next, "visit", path, file, "when told")
	next.Expect("ready")
	ahead := 0
	var holder *locktest.Child
	if s.waits {
		ahead = 1
		holder = inWorld(t, world{}, "visit", path, file)
		holder.Expect("held")
	}
	before := tickets(t, dir)
	started := time.Now()
	slow.Go()
	queued(t, dir, ahead+1)
	first := newcomer(t, before, tickets(t, dir))
	if trace {
		eventually(t, "the delayed call", func() bool { return calls(t, slow.Pid(), unix.SYS_FCNTL) })
	} else {
		slow.Expect("late")
	}
	began := time.Now()
	next.Go()
	if s.stays {
		slow.Expect("held")
		require.Greater(t, time.Since(started), tardiness-200*time.Millisecond, "it was not slow")
		require.True(t, next.Silent(100*time.Millisecond), "two are inside")
		leaves(slow, next)
	} else {
		require.True(t, slow.Silent(liveness.Grace/2), "it was not slow")
		eventually(t, "the removal of the slow one's ticket", func() bool { return !strings.Contains(strings.Join(tickets(t, dir), " "), first) })
		removed := time.Since(began)
		require.Greater(t, removed, liveness.Grace-100*time.Millisecond, "removed within the grace")
		if s.waits {
			leaves(holder, next)
		} else {
			next.Expect("held")
		}
		eventually(t, "the slow one's next ticket", func() bool { return len(tickets(t, dir)) == 2 })
		require.Greater(t, time.Since(started), tardiness-200*time.Millisecond, "it was not slow")
		require.True(t, slow.Silent(300*time.Millisecond), "two are inside")
		leaves(next, slow)
		slow.Go()
		slow.Expect("released")
	}
	if s.stays {
		next.Go()
		next.Expect("released")
	}
	require.Zero(t, guard.Overlaps())
	requireNoTickets(t, dir)
}

// leaves has one child leave, and the next one enter.
func leaves(one, next *locktest.Child) {
	one.Go()
	one.Expect("released")
	next.Expect("held")
}

// newcomer returns the one name that is in the second list only.
func newcomer(t *testing.T, before, after []string) string {
	t.Helper()
	for _, name := range after {
		if !strings.Contains(strings.Join(before, " "), name) {
			return name
		}
	}
	t.Fatal("there is no newcomer")
	return ""
}
