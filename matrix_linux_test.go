package filelock_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

var (
	matrixWhole = flag.Bool("matrix", false, "TestMatrix: every call and every error, which takes a quarter of an hour")
	matrixWrite = flag.Bool("matrix.write", false, "TestMatrix: write docs/matrix.md")
)

func init() { locktest.Register("matrix", matrixChild) }

// situation is what a contender meets whose calls fail one at a time.
type situation struct {
	name string
	opts []filelock.Option
	try  bool
	// prepare makes it so, before the contender starts, and returns what ends it:
	// after hold, or when the contender is done if that is zero.
	prepare func(t *testing.T, s *scene) (end func())
	hold    time.Duration
	// far: fstatfs fails throughout, so that the directory is taken for one that
	// other kernels mount too.
	far bool
	// of tells which calls fail; nil: all.
	of func(c *call) bool
	// slow: it takes a second or so, and only -matrix does it.
	slow bool
}

// holdFor is how long the contender waits for a holder. It is there long before.
const holdFor = 120 * time.Millisecond

var situations = []situation{
	{name: "free"},
	{name: "free, with another mode", opts: []filelock.Option{filelock.WithFileMode(0o666)}, of: pastNew},
	{name: "free, with a lease", opts: []filelock.Option{filelock.WithLease(5 * time.Second)}, of: pastNew},
	{name: "behind a holder", prepare: aHolder(0), hold: holdFor, of: pastNew},
	{name: "behind a holder, with a raise", prepare: aHolder(time.Hour), hold: holdFor, of: pastNew},
	{name: "behind a plain peer's holder", opts: []filelock.Option{filelock.WithPlainPeers()}, prepare: aHolder(0), hold: holdFor, of: pastNew},
	{name: "behind a holder, whose ticket is removed meanwhile", prepare: aRemoved, of: onOthers, slow: true},
	{name: "a try behind a holder", try: true, prepare: aHolder(0), of: pastNew},
	{name: "a try behind a holder, with a raise", try: true, prepare: aHolder(time.Hour), of: pastNew},
	{name: "behind a dead one", prepare: aTicket(func(n *ticket.Name) { n.PID = unusedPID }), of: pastNew},
	{name: "behind one that shows no sign of life", prepare: aTicket(func(n *ticket.Name) { n.PIDSpace++ }), of: onOthers, slow: true},
	{name: "behind a stopped one", prepare: aStopped, of: onOthers, slow: true},
	{name: "free, many kernels", far: true, of: pastNew},
	{name: "behind a holder, many kernels", far: true, prepare: aHolder(0), hold: holdFor, of: pastNew},
	{name: "behind a holder, with a raise, many kernels", far: true, prepare: aHolder(time.Hour), hold: holdFor, of: pastNew},
	{name: "behind a dead one, many kernels", far: true, prepare: aTicket(func(n *ticket.Name) { n.PID = unusedPID }), of: pastNew},
}

// pastNew leaves out what is the same in all situations.
func pastNew(c *call) bool { return c.phase != "New" && !strings.HasPrefix(c.object, "/") }

// onOthers are the calls about somebody else's ticket.
func onOthers(c *call) bool { return c.object == another }

// errnos are what each call may answer, in this world or in that of a server.
// Absence is a fact: that another's ticket is not there is not in it, but for
// those calls by which nobody concludes that.
var errnos = map[string]string{
	"openat":            "EINTR EIO ESTALE ENOENT EACCES EPERM EMFILE ENOSPC EROFS ELOOP ENXIO ENODEV ENOMEM EBUSY",
	"newfstatat":        "EINTR EIO ESTALE ENOENT EACCES EPERM ELOOP ENOMEM",
	"statx":             "EINTR EIO ESTALE ENOENT EACCES ELOOP ENOMEM",
	"readlinkat":        "EINTR EIO ESTALE ENOENT EACCES ENOMEM",
	"fstat":             "EINTR EIO ESTALE ENOENT EACCES ENOMEM",
	"fstatfs":           "EINTR EIO ENOMEM",
	"lseek":             "EINTR EIO ENXIO",
	"getdents64":        "EINTR EIO ESTALE ENOENT EACCES ENOMEM",
	"fcntl":             "EINTR EIO ESTALE EACCES EAGAIN ENOLCK ENOMEM",
	"utimensat":         "EINTR EIO ESTALE ENOENT EACCES EPERM ENOSPC EROFS ENOMEM EBUSY",
	"unlinkat":          "EINTR EIO ESTALE ENOENT EACCES EPERM ENOSPC EROFS ENOMEM EBUSY",
	"fchmod":            "EINTR EIO ESTALE EACCES EPERM ENOSPC EROFS ENOMEM",
	"close":             "EINTR EIO ENOSPC",
	"kill":              "EINTR EIO EPERM",
	"inotify_init1":     "EMFILE ENOMEM",
	"inotify_add_watch": "EINTR EIO ESTALE ENOENT EACCES ENOSPC ENOMEM",
	"inotify_rm_watch":  "EIO EINTR",
	"epoll_ctl":         "EPERM ENOSPC ENOMEM",
}

// scene is one run.
type scene struct {
	situation *situation
	dir, path string
	guard     *locktest.Guard
}

// Words of the guard.
const (
	wordGivenBack = iota // when the holder left, on the machine's clock
	wordCameIn           // when the contender came in
)

// aHolder holds the lock, its ticket's time so far ahead that newcomers raise.
func aHolder(ahead time.Duration) func(t *testing.T, s *scene) func() {
	return func(t *testing.T, s *scene) func() {
		l := newLock(t, s.path, s.situation.opts...)
		acquire(t, l)
		s.guard.Enter()
		if ahead > 0 {
			at := time.Now().Add(ahead)
			require.NoError(t, os.Chtimes(filepath.Join(s.dir, tickets(t, s.dir)[0]), at, at))
		}
		return sync.OnceFunc(func() {
			s.guard.Leave()
			s.guard.Word(wordGivenBack).Store(time.Now().UnixNano())
			if err := l.Unlock(); err != nil && !errors.Is(err, filelock.ErrLost) {
				t.Errorf("the holder: %v", err)
			}
		})
	}
}

// aRemoved holds the lock, and has its ticket removed when the contender has seen
// it long since, even if the first looks failed: who has never seen a ticket
// cannot know of it. It leaves a while later.
func aRemoved(t *testing.T, s *scene) func() {
	leave := aHolder(0)(t, s)
	file := filepath.Join(s.dir, tickets(t, s.dir)[0])
	over := make(chan struct{})
	left := start(func() error {
		defer leave()
		for names := []string(nil); len(names) < 2; time.Sleep(time.Millisecond) {
			select {
			case <-over:
				return nil // it never came
			default:
			}
			names, _ = filepath.Glob(filepath.Join(s.dir, "*.lock.*"))
		}
		time.Sleep(3 * holdFor)
		err := os.Remove(file)
		time.Sleep(holdFor)
		return err
	})
	return sync.OnceFunc(func() {
		close(over)
		if err := <-left; err != nil {
			t.Errorf("removing the holder's ticket: %v", err)
		}
	})
}

// aTicket plants one.
func aTicket(edit func(n *ticket.Name)) func(t *testing.T, s *scene) func() {
	return func(t *testing.T, s *scene) func() {
		plant(t, s.path, edit)
		return func() {}
	}
}

// aStopped plants the ticket of a stopped process, which has its witness.
func aStopped(t *testing.T, s *scene) func() {
	sleep := exec.Command("sleep", "100")
	require.NoError(t, sleep.Start())
	t.Cleanup(func() {
		sleep.Process.Kill()
		sleep.Wait()
	})
	pid := sleep.Process.Pid
	require.NoError(t, sleep.Process.Signal(syscall.SIGSTOP))
	eventually(t, "stopping it", func() bool { return processState(t, pid) == "T" })
	start := startOf(t, pid)
	holdWitness(t, plant(t, s.path, func(n *ticket.Name) { n.PID, n.Start = pid, start }))
	return func() {}
}

// report is what a contender saw. Each of them is "" for no error, or the name of
// the error.
type report struct{ New, Acquire, Unlock string }

// matrixChild is the contender. Everything happens in one thread, so that the
// numbers of its calls mean something.
func matrixChild(args []string) error {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_PTRACER, unix.PR_SET_PTRACER_ANY, 0, 0, 0) // or strace may not attach
	path := args[0]
	i := slices.IndexFunc(situations, func(s situation) bool { return s.name == args[1] })
	s := &situations[i]
	guard, err := locktest.OpenGuard(filepath.Join(filepath.Dir(path), "guard"))
	if err != nil {
		return err
	}
	locktest.Say("%d", unix.Gettid())
	locktest.Gate()
	var r report
	mark("New")
	l, err := filelock.New(path, s.opts...)
	if r.New = nameOf(err); err == nil {
		mark("Acquire")
		if s.try {
			err = l.TryLock()
		} else {
			err = l.Acquire(context.Background())
		}
		if r.Acquire = nameOf(err); err == nil {
			guard.Word(wordCameIn).Store(time.Now().UnixNano())
			guard.Enter()
			time.Sleep(2 * time.Millisecond)
			guard.Leave()
			mark("Unlock")
			r.Unlock = nameOf(l.Unlock())
		}
	}
	mark("end")
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	locktest.Say("%s", text)
	locktest.Gate()
	// Once more, when nothing fails.
	if l == nil {
		if l, err = filelock.New(path, s.opts...); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stuck/3)
	defer cancel()
	if err := l.Acquire(ctx); err != nil {
		return err
	}
	guard.Enter()
	locktest.Say("inside")
	locktest.Gate()
	guard.Leave()
	return l.Unlock()
}

// mark shows in the trace where the contender is.
func mark(where string) { unix.Access("/mark/"+where, unix.F_OK) }

// nameOf says in a word what an error is.
func nameOf(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.Is(err, filelock.ErrLocked) && errors.As(err, &errno):
		return "ErrLocked and " + unix.ErrnoName(errno)
	case errors.Is(err, filelock.ErrLocked):
		return "ErrLocked"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	case errors.Is(err, fs.ErrNotExist):
		return "ENOENT"
	case errors.Is(err, filelock.ErrLost):
		return "ErrLost"
	default:
		return err.Error()
	}
}

// matrixTraced is a contender under strace.
type matrixTraced struct {
	*locktest.Child
	log    string
	strace *exec.Cmd
}

// startTraced starts a contender of which strace follows the one thread, and no
// more than that: it attaches when the process is up.
func startTraced(t *testing.T, s *scene, faults ...string) *matrixTraced {
	t.Helper()
	env, path := locktest.Command(t, "matrix", s.path, s.situation.name)
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), env, "GOGC=off", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	c := &matrixTraced{Child: locktest.StartCmd(t, cmd), log: filepath.Join(t.TempDir(), "log")}
	args := []string{"-p", c.Line(), "-y", "-s", "4096", "-o", c.log}
	if s.situation.far {
		faults = append(faults, "fstatfs:error=ENOSYS")
	}
	for _, f := range faults {
		args = append(args, "-e", "inject="+f)
	}
	c.strace = exec.Command("strace", append(args, "-e", "trace=faccessat,"+tracedCalls)...)
	said, err := c.strace.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.strace.Start())
	var text strings.Builder
	for buf := make([]byte, 512); !strings.Contains(text.String(), "attached"); {
		n, err := said.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			c.strace.Wait()
			t.Skipf("strace may not attach: %s", text.String())
		}
	}
	go io.Copy(io.Discard, said)
	t.Cleanup(func() {
		c.Cmd.Process.Kill()
		c.strace.Wait()
	})
	return c
}

// finding is how one run ended.
type finding struct {
	situation string
	call      *call
	errno     string
	injected  bool
	report    report
	lingered  bool          // the ticket was there for a while after the end
	late      time.Duration // how long after the holder had left it came in
	wrong     []string
}

// play lets the contender go through a situation, with one fault if call is not
// nil, and returns what came of it, and its trace.
func play(t *testing.T, s *situation, c *call, errno string) (f finding, trace string) {
	t.Helper()
	f = finding{situation: s.name, call: c, errno: errno}
	wrong := func(format string, args ...any) { f.wrong = append(f.wrong, fmt.Sprintf(format, args...)) }
	dir := t.TempDir()
	sc := &scene{situation: s, dir: dir, path: filepath.Join(dir, "target")}
	var err error
	sc.guard, err = locktest.OpenGuard(filepath.Join(dir, "guard"))
	require.NoError(t, err)
	end := func() {}
	if s.prepare != nil {
		end = s.prepare(t, sc)
	}
	defer end()
	var faults []string
	if c != nil {
		faults = []string{fmt.Sprintf("%s:error=%s:when=%d", c.name, errno, c.nth)}
	}
	child := startTraced(t, sc, faults...)
	began := time.Now()
	child.Go()
	if s.hold > 0 {
		defer time.AfterFunc(s.hold, end).Stop()
	}
	require.NoError(t, json.Unmarshal([]byte(child.Line()), &f.report))
	if took := time.Since(began); took > stuck/3 {
		wrong("it took %v", took)
	}
	if came, left := sc.guard.Word(wordCameIn).Load(), sc.guard.Word(wordGivenBack).Load(); came > 0 && left > 0 {
		if f.late = time.Duration(came - left); f.late > 2*time.Second {
			wrong("it came in %v late", f.late)
		}
	}
	end()

	own := func() bool { return strings.Contains(fmt.Sprint(tickets(t, dir)), fmt.Sprintf(".%d.", child.Pid())) }
	f.lingered = own()
	for deadline := time.Now().Add(5 * time.Second); own(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			wrong("a ticket was left")
			break
		}
	}
	child.Go()
	child.Expect("inside")
	for _, name := range tickets(t, dir) {
		n, _ := ticket.Parse(ticket.Prefix("target"), name)
		if n.PID == child.Pid() && n.PIDSpace == 0 && !slices.Contains([]string{"ENOENT", "EACCES", "EPERM", "ELOOP"}, errno) {
			wrong("it does not know who it is")
		}
	}
	child.Go()
	child.Done()
	child.strace.Wait()
	text, err := os.ReadFile(child.log)
	require.NoError(t, err)
	trace = string(text)
	for line := range strings.Lines(trace) {
		f.injected = f.injected || c != nil && strings.HasPrefix(line, c.name+"(") && strings.Contains(line, "(INJECTED)") &&
			!strings.Contains(line, "ENOSYS")
	}
	if n := sc.guard.Overlaps(); n > 0 {
		wrong("two were inside")
	}
	if strings.Contains(fmt.Sprint(f.report), "EINTR") {
		wrong("EINTR is shown")
	}
	l := newLock(t, sc.path, s.opts...)
	acquire(t, l)
	require.NoError(t, l.Unlock())
	for _, name := range tickets(t, dir) {
		if !strings.HasSuffix(name, ".raised") {
			wrong("%s is left", name)
		}
	}
	return f, trace
}
