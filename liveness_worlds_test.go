//go:build linux

package filelock_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/shirou/gopsutil/v3/process"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

// world is what a child process of a test lives in, where that is not the
// test's own surroundings.
type world struct {
	Host    string // another hostname
	PIDs    bool   // a pid namespace of its own, in which it is pid 1
	Boot    string // a file that holds another boot id
	NoLocks int    // the error that flock always gives
	HidePID bool   // /proc hides other users' processes
	Proc    string // "subset=pid", or "none" for no /proc at all
	Mounts  []mounted
	UID     int         // another user
	Group   int         // who is in this group besides
	Umask   int         // 0: the test's own
	Mode    os.FileMode // of tickets, see WithFileMode
	Refuse  []refusal
	Slow    string // the call for a lock on its own ticket that takes it long
	Later   string // how much later, in seconds, it takes the boot to have been
	Lease   time.Duration
	Stamp   time.Duration // the wall clock by which it makes tickets goes so far ahead
}

// mounted is a filesystem that only the child sees, and that goes with it.
type mounted struct {
	Type, Source, Dir, Options string
	Image                      bool // Source is a file, to be mounted by a loop device
}

func init() {
	locktest.Register("world", worldChild)
}

// mountsItsOwn reports whether the child has a mount namespace of its own.
func (w world) mountsItsOwn() bool {
	return w.Host != "" || w.PIDs || w.Boot != "" || w.HidePID || w.Proc != "" || len(w.Mounts) > 0
}

// inWorld starts one of worldMains in a world.
func inWorld(t *testing.T, w world, args ...any) *locktest.Child {
	t.Helper()
	return locktest.StartCmd(t, worldCommand(t, w, args...))
}

// requireWorld skips a test whose children cannot live in such worlds here: it
// tries, since neither a user id nor a capability tells what a container forbids.
func requireWorld(t *testing.T, worlds ...world) {
	t.Helper()
	tried := map[string]bool{}
	for _, w := range worlds {
		text, err := json.Marshal(w)
		require.NoError(t, err)
		if tried[string(text)] {
			continue
		}
		tried[string(text)] = true
		if out, err := worldCommand(t, w, "nothing").CombinedOutput(); err != nil {
			said := strings.TrimSpace(string(out))
			t.Skipf("no right here to other users, namespaces, mounts or filters of calls: %v %s", err, said[strings.LastIndex(said, ": ")+1:])
		}
	}
}

// worldCommand returns the command that inWorld starts.
func worldCommand(t *testing.T, w world, args ...any) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(w)
	require.NoError(t, err)
	env, path := locktest.Command(t, append([]any{"world", string(text)}, args...)...)
	cmd := exec.Command(path)
	if w.Later != "" {
		cmd = exec.Command("unshare", "--time", "--boottime", w.Later, "--fork", "--kill-child", path)
	}
	cmd.Env = append(os.Environ(), env)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if w.mountsItsOwn() {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS
	}
	if w.PIDs {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWPID
	}
	return cmd
}

var worldMains = map[string]func(w world, args []string) error{
	"hold": worldHold, "contend": worldContend, "reap": worldReap, "headless": worldHeadless, "reuse": worldReuse,
	"between": worldBetween, "nothing": func(world, []string) error { return nil },
}

func worldChild(args []string) error {
	var w world
	if err := json.Unmarshal([]byte(args[0]), &w); err != nil {
		return err
	}
	if err := w.enter(); err != nil {
		return fmt.Errorf("entering %+v: %w", w, err)
	}
	return worldMains[args[1]](w, args[2:])
}

// enter turns the process's surroundings into w, before anything is read from
// them.
func (w world) enter() error {
	if w.mountsItsOwn() {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			return err
		}
	}
	if w.PIDs || w.HidePID {
		options := ""
		if w.HidePID {
			options = "hidepid=2"
		}
		if err := syscall.Mount("proc", "/proc", "proc", 0, options); err != nil {
			return err
		}
	}
	if w.Host != "" {
		if err := syscall.Sethostname([]byte(w.Host)); err != nil {
			return err
		}
	}
	if w.Boot != "" {
		if err := syscall.Mount(w.Boot, "/proc/sys/kernel/random/boot_id", "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	for _, m := range w.Mounts {
		if err := m.mount(); err != nil {
			return err
		}
	}
	switch w.Proc {
	case "":
	case "none":
		if err := syscall.Unmount("/proc", syscall.MNT_DETACH); err != nil {
			return err
		}
	default:
		if err := syscall.Mount("proc", "/proc", "proc", 0, w.Proc); err != nil {
			return err
		}
	}
	if w.UID != 0 {
		var groups []int
		if w.Group != 0 {
			groups = []int{w.Group}
		}
		if err := errors.Join(syscall.Setgroups(groups), syscall.Setgid(w.UID), syscall.Setuid(w.UID)); err != nil {
			return err
		}
		// As if it had been started so.
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	if w.Umask != 0 {
		syscall.Umask(w.Umask)
	}
	if len(w.Refuse) > 0 {
		if err := refuseCalls(w.Refuse); err != nil {
			return err
		}
	}
	if w.Slow != "" {
		slowAt(w.Slow)
	}
	if w.NoLocks != 0 {
		if err := refuseLocks(w.NoLocks); err != nil {
			return err
		}
	}
	if w.Stamp != 0 {
		filelock.StampTickets(func() time.Time { return time.Now().Add(w.Stamp) })
	}
	return nil
}

func (m mounted) mount() error {
	if !m.Image {
		var flags uintptr
		if m.Type == "" {
			flags = syscall.MS_BIND
		}
		return os.NewSyscallError("mount", syscall.Mount(m.Source, m.Dir, m.Type, flags, m.Options))
	}
	out, err := exec.Command("mount", "-o", "loop", "-t", m.Type, m.Source, m.Dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return nil
}

// refuseLocks has the kernel answer each lock of this process with errno, as a
// filesystem without locks does.
func refuseLocks(errno int) error {
	const secondArgument = 24 // in struct seccomp_data, on a little-endian machine
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 4, K: unix.SYS_FLOCK},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 4, K: unix.SYS_FCNTL},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: secondArgument},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: unix.F_OFD_SETLK},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.F_OFD_GETLK},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := installFilter(filter); err != nil {
		return err
	}
	if err := unix.Flock(0, unix.LOCK_SH); err != unix.Errno(errno) {
		return fmt.Errorf("flock still answers %v", err)
	}
	if err := unix.FcntlFlock(0, unix.F_OFD_GETLK, &unix.Flock_t{Type: unix.F_RDLCK}); err != unix.Errno(errno) {
		return fmt.Errorf("fcntl still answers %v", err)
	}
	return nil
}

// installFilter has the kernel ask a filter about each call of this process.
func installFilter(filter []unix.SockFilter) error {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const setModeFilter, allThreads = 1, 1
	if _, _, err := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, allThreads, uintptr(unsafe.Pointer(&program))); err != 0 {
		return err
	}
	return nil
}

func (w world) lock(path string) (*filelock.FileLock, error) {
	var opts []filelock.Option
	if w.Lease > 0 {
		opts = append(opts, filelock.WithLease(w.Lease))
	}
	if w.Mode != 0 {
		opts = append(opts, filelock.WithFileMode(w.Mode))
	}
	return filelock.New(path, opts...)
}

// worldHold is holdChild in a world. It says first who it is.
func worldHold(w world, args []string) error {
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	return holdUntilTold(l)
}

// whoami describes a child's world as the lock sees it.
func whoami() string {
	id := identity()
	return fmt.Sprintf("host %s, pid %d, start %d, pidspace %08x", id.Host, id.PID, id.Start, uint32(id.PIDSpace))
}

// worldContend tries in every way to get a lock that somebody else holds, says
// what it saw, and after that waits for it.
func worldContend(w world, args []string) error {
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	locktest.Say("%s", whoami())
	if err := l.TryLock(); !errors.Is(err, filelock.ErrLocked) {
		return fmt.Errorf("a try of a held lock: %v", err)
	}
	reaped, err := filelock.Reap(args[0])
	if err != nil || len(reaped) > 0 {
		return fmt.Errorf("reaped %v: %v", reaped, err)
	}
	q, err := filelock.Inspect(args[0])
	if err != nil {
		return err
	}
	first, ok := q.Holder()
	if !ok {
		return errors.New("there is no holder")
	}
	exists, err := process.PidExists(int32(first.PID))
	locktest.Say("%s; gopsutil's PidExists of its pid: %v, %v", first, exists, err)
	return worldHold(w, args)
}

// worldReap says what it makes of the queue, and reaps it.
func worldReap(_ world, args []string) error {
	q, err := filelock.Inspect(args[0])
	if err != nil {
		return err
	}
	for _, one := range q.Tickets {
		locktest.Say("%v: %s", one.State, one.Reason)
	}
	reaped, err := filelock.Reap(args[0])
	locktest.Say("reaped %d, error %v", len(reaped), err)
	return nil
}

// quiet is how long nobody may enter.
func quiet() time.Duration {
	if *soak > 0 {
		return 10 * time.Second
	}
	return 2 * time.Second
}

// standoff is a holder and a waiter in a queue of their own. Several of them are
// looked at together, so that a test is quiet only once.
type standoff struct {
	name           string
	path           string
	holder, waiter *locktest.Child
	seen           string // the holder as the waiter sees it
}

// newStandoff has holder hold a lock, and waiter wait for it after it has tried
// in every other way.
func newStandoff(t *testing.T, name, dir string, holder, waiter world) *standoff {
	t.Helper()
	return newStandoffAt(t, name, dir, dir, holder, waiter)
}

// newStandoffAt is newStandoff for two mounts of one directory.
func newStandoffAt(t *testing.T, name, holderDir, waiterDir string, holder, waiter world) *standoff {
	t.Helper()
	s := &standoff{name: name, path: filepath.Join(waiterDir, "target")}
	s.holder = inWorld(t, holder, "hold", filepath.Join(holderDir, "target"))
	s.holder.Expect("held")
	s.waiter = inWorld(t, waiter, "contend", s.path)
	who := s.waiter.Line()
	s.seen = s.waiter.Line()
	t.Logf("%s: the waiter is %s; the holder as it sees it: %s", name, who, s.seen)
	eventually(t, "the waiter's ticket", func() bool { return len(tickets(t, waiterDir)) >= 2 })
	return s
}

// requireQuiet checks that nobody enters for quiet, or for least if that is longer.
func requireQuiet(t *testing.T, all []*standoff, least ...time.Duration) {
	t.Helper()
	enough := slices.Max(append(least, quiet()))
	began := time.Now()
	for _, s := range all {
		require.True(t, s.waiter.Silent(max(mustBlock, enough-time.Since(began))), "%s: it entered a held lock", s.name)
	}
	for _, s := range all {
		require.True(t, s.waiter.Silent(mustBlock), "%s: it entered a held lock", s.name)
	}
	t.Logf("nobody entered for %v", time.Since(began).Round(100*time.Millisecond))
}

// requireRecovery kills all holders, and checks that the waiters take over.
func requireRecovery(t *testing.T, all []*standoff) {
	t.Helper()
	began := time.Now()
	for _, s := range all {
		if err := s.holder.Cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
			require.NoError(t, err)
		}
	}
	for _, s := range all {
		s.waiter.Expect("held")
		took := time.Since(began)
		t.Logf("%s: taken over within %v of the kill", s.name, took.Round(time.Millisecond))
		require.Less(t, took, recovery)
	}
	for _, s := range all {
		s.waiter.Go()
		s.waiter.Expect("released")
		requireNoTickets(t, filepath.Dir(s.path))
	}
}

// requireHandOver has all holders release, and checks that the waiters go on.
func requireHandOver(t *testing.T, all []*standoff) {
	t.Helper()
	for _, s := range all {
		s.holder.Go()
		s.holder.Expect("released")
		s.waiter.Expect("held")
		s.waiter.Go()
		s.waiter.Expect("released")
		requireNoTickets(t, filepath.Dir(s.path))
	}
}

// plant makes a ticket in a directory as its owner would, in the past.
func plant(t testing.TB, path string, edit func(*ticket.Name)) (file string) {
	t.Helper()
	file, err := plantTicket(path, edit)
	require.NoError(t, err)
	return file
}

func plantTicket(path string, edit func(*ticket.Name)) (file string, err error) {
	dir, base := filepath.Split(path)
	place, err := placeOf(dir)
	if err != nil {
		return "", err
	}
	self := identity()
	n := ticket.Name{
		Host: self.Host, PID: self.PID, Start: self.Start, PIDSpace: self.PIDSpace, Place: place,
		Nonce: ticket.NewNonce(),
	}
	edit(&n)
	file = filepath.Join(dir, n.Format(ticket.Prefix(base)))
	past := time.Now().Add(-time.Minute)
	return file, errors.Join(touch(file), os.Chtimes(file, past, past))
}

// touch makes an empty file. It writes nothing, which some filesystems refuse.
func touch(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// placeOf returns what an owner writes of a directory's filesystem.
func placeOf(dir string) (liveness.Place, error) {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	id := uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32
	fs := liveness.Filesystem{Type: int64(st.Type), ID: id, OneKernel: true, Stacks: st.Type == unix.OVERLAYFS_SUPER_MAGIC}
	return fs.Place(), err
}

// holdWitness takes the witness of a planted ticket, as a living owner has it,
// and holdEntry its entry, for the rest of the test.
func holdWitness(t *testing.T, file string) { lockByte(t, file, unix.F_RDLCK, 1) }

func holdEntry(t *testing.T, file string) { lockByte(t, file, unix.F_WRLCK, 0) }

func lockByte(t *testing.T, file string, kind int16, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.NoError(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Start: at, Len: 1}))
}

// unusedPID is above any pid_max.
const unusedPID = 1<<22 + 1

// shared makes a directory that processes of all users may use.
func shared(t *testing.T, mode uint32) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "filelock-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, syscall.Chmod(dir, mode))
	return dir
}

// give makes a file another user's or group's, or skips the test.
func give(t *testing.T, file string, uid, gid int) {
	t.Helper()
	err := os.Chown(file, uid, gid)
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("no right here to give a file to another user: %v", err)
	}
	require.NoError(t, err)
}

// anotherBoot returns a file that holds another boot id than this machine's.
func anotherBoot(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "boot_id")
	id, err := os.ReadFile("/proc/sys/kernel/random/uuid")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, id, 0o444))
	return file
}

// processState returns the state letter of a process.
func processState(t *testing.T, pid int) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	return strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))[0]
}
