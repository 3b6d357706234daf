//go:build linux || darwin

package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/cmd/filelock/cli"
	_ "github.com/filelock-go/filelock/etcdlock/etcdurl"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	programs["filelock"] = func(args []string) int { return cli.Main(args, os.Stdin, os.Stdout, os.Stderr) }
	programs["work"] = work
}

// work is a command to run under the lock:
//
//	work DIR NAME [deaf] [child] [until FILE] [code N]
//
// It takes a lock of the kernel's in DIR, which is free only if nothing of the command
// before it runs any more, and writes NAME to DIR/ran, and its pid to DIR/NAME. It goes
// on until FILE is there; without it, it ends at once.
// If it is deaf it does not end for TERM, but notes that in DIR/NAME.term. Its child, which
// has the kernel's lock too, does nothing, and is deaf.
func work(args []string) int {
	err := doWork(args[0], args[1], args[2:])
	if err == nil {
		if i := slices.Index(args, "code"); i > 0 {
			code, _ := strconv.Atoi(args[i+1])
			return code
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "work:", err)
	return 99
}

// overlapped is what the worker says, and ends with, if another one runs.
const overlapped = "another command runs yet"

func doWork(dir, name string, how []string) error {
	terms := make(chan os.Signal, 1)
	if slices.Contains(how, "deaf") {
		signal.Notify(terms, syscall.SIGTERM)
	}
	if slices.Contains(how, "idle") {
		time.Sleep(2 * locktest.Stuck)
		return nil
	}
	referee, err := os.OpenFile(filepath.Join(dir, "referee"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(referee.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.New(overlapped)
	}
	if slices.Contains(how, "child") {
		child := exec.Command(os.Args[0], dir, name, "idle", "deaf")
		child.ExtraFiles = []*os.File{referee}
		if err := child.Start(); err != nil {
			return err
		}
		if err := replace(filepath.Join(dir, name+".child"), strconv.Itoa(child.Process.Pid)); err != nil {
			return err
		}
	}
	ran, err := os.OpenFile(filepath.Join(dir, "ran"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(ran, name, os.Getenv("FILELOCK_TOKEN")); err != nil {
		return err
	}
	if err := replace(filepath.Join(dir, name), strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	i := slices.Index(how, "until")
	if i < 0 {
		return nil
	}
	for end := time.Now().Add(2 * locktest.Stuck); time.Now().Before(end); {
		select {
		case <-terms:
			if err := replace(filepath.Join(dir, name+".term"), "heard"); err != nil {
				return err
			}
		case <-time.After(5 * time.Millisecond):
		}
		if exists(filepath.Join(dir, how[i+1])) {
			return nil
		}
	}
	return errors.New("forgotten")
}

// replace writes a file at once: who waits for it finds it complete.
func replace(name, text string) error {
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// shell is a directory in which commands are run, and where programs finds them.
type shell struct {
	t   testing.TB
	dir string
	env []string
}

func newShell(t testing.TB, env ...string) *shell {
	t.Helper()
	s := &shell{t: t, dir: t.TempDir()}
	self, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	for name := range programs {
		require.NoError(t, os.Symlink(self, filepath.Join(bin, name)))
	}
	s.env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "ETCDCTL_") }),
		"PATH="+bin+":"+os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0")
	s.env = append(s.env, env...)
	return s
}

// command is one that was started.
type command struct {
	s        *shell
	cmd      *exec.Cmd
	out, err bytes.Buffer
	began    time.Time
	ended    chan error
}

// start starts "filelock" with some arguments.
func (s *shell) start(args ...string) *command {
	s.t.Helper()
	self, err := os.Executable()
	require.NoError(s.t, err)
	c := &command{s: s, cmd: exec.Command(self, args...), ended: make(chan error, 1)}
	c.cmd.Args[0] = "filelock"
	c.cmd.Dir, c.cmd.Env = s.dir, s.env
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.err
	c.cmd.WaitDelay = 100 * time.Millisecond // an orphan may have an output open
	c.began = time.Now()
	require.NoError(s.t, c.cmd.Start())
	go func() { c.ended <- c.cmd.Wait() }()
	s.t.Cleanup(func() { c.cmd.Process.Kill() })
	return c
}

// code waits for the end and returns the exit code; that of a signal is negative.
func (c *command) code() int {
	c.s.t.Helper()
	select {
	case err := <-c.ended:
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) && !errors.Is(err, exec.ErrWaitDelay) {
			require.NoError(c.s.t, err)
		}
	case <-time.After(locktest.Stuck):
		require.Fail(c.s.t, "stuck", "%q has not ended: %s", c.cmd.Args, c.err.String())
	}
	if status := c.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return -int(status.Signal())
	}
	return c.cmd.ProcessState.ExitCode()
}

// ends waits for the end, with an exit code, and returns how long it all took.
func (c *command) ends(code int) time.Duration {
	c.s.t.Helper()
	got := c.code()
	took := time.Since(c.began)
	require.Equal(c.s.t, code, got, "%q: %s%s", c.cmd.Args, c.out.String(), c.err.String())
	return took
}

// run runs "filelock", which has to end with an exit code, and returns its output.
func (s *shell) run(code int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	c := s.start(args...)
	c.ends(code)
	return c.out.String(), c.err.String()
}

// has waits for a file of the directory, and returns its content.
func (s *shell) has(name string) string {
	s.t.Helper()
	var text []byte
	require.Eventually(s.t, func() (ok bool) {
		var err error
		text, err = os.ReadFile(filepath.Join(s.dir, name))
		return err == nil
	}, locktest.Stuck, 2*time.Millisecond, name)
	return strings.TrimSpace(string(text))
}

// idle waits until nothing of any command runs any more, as the kernel has it: a
// process that has ended and was not reaped yet does not run.
func (s *shell) idle() {
	s.t.Helper()
	referee, err := os.Open(filepath.Join(s.dir, "referee"))
	require.NoError(s.t, err)
	defer referee.Close()
	require.Eventually(s.t, func() bool {
		return syscall.Flock(int(referee.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
	}, locktest.Stuck, time.Millisecond)
}

// touch makes a file.
func (s *shell) touch(name string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, name), nil, 0o600))
}

// ran returns what has run, in order, and the tokens.
func (s *shell) ran() (names []string, tokens []uint64) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "ran"))
	require.NoError(s.t, err)
	for line := range strings.Lines(string(text)) {
		name, token, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(token, 10, 64)
		require.NoError(s.t, err)
		names, tokens = append(names, name), append(tokens, n)
	}
	return names, tokens
}
