//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"github.com/stretchr/testify/require"
)

// monitor is a program at a terminal, and what that shows.
type monitor struct {
	t     *testing.T
	cmd   *exec.Cmd
	tty   *os.File
	ended chan error

	mu sync.Mutex
	vt vt10x.Terminal
}

// atTerminal starts a program at a terminal of its own.
func atTerminal(t *testing.T, dir string, columns, rows int, program ...string) *monitor {
	t.Helper()
	s := &monitor{t: t, cmd: exec.Command(program[0], program[1:]...), ended: make(chan error, 1), vt: vt10x.New(vt10x.WithSize(columns, rows))}
	s.cmd.Dir = dir
	s.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "GORACE=atexit_sleep_ms=0")
	tty, err := pty.StartWithSize(s.cmd, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)})
	if err != nil {
		t.Skipf("no terminal may be had here: %v", err)
	}
	s.tty = tty
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read()
	}()
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		tty.Close()
		<-read
	})
	return s
}

// read draws what the program writes, and answers what it asks of the terminal.
func (s *monitor) read() {
	buf := make([]byte, 4096)
	for {
		n, err := s.tty.Read(buf)
		s.mu.Lock()
		_, _ = s.vt.Write(buf[:n])
		s.mu.Unlock()
		if strings.Contains(string(buf[:n]), "\x1b[6n") { // where is the cursor?
			_, _ = io.WriteString(s.tty, "\x1b[1;1R")
		}
		if err != nil {
			return
		}
	}
}

func (s *monitor) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(s.vt.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// shows waits until the screen matches, and returns it.
func (s *monitor) shows(pattern string) string {
	s.t.Helper()
	wanted := regexp.MustCompile("(?m)" + pattern)
	for end := time.Now().Add(stuck); ; time.Sleep(5 * time.Millisecond) {
		text := s.text()
		if wanted.MatchString(text) {
			return text
		}
		require.False(s.t, time.Now().After(end), "no %q within %v on\n%s", pattern, stuck, text)
	}
}

func (s *monitor) typed(keys string) {
	s.t.Helper()
	_, err := io.WriteString(s.tty, keys)
	require.NoError(s.t, err)
}

func (s *monitor) resize(columns, rows int) {
	s.t.Helper()
	s.mu.Lock()
	s.vt.Resize(columns, rows)
	s.mu.Unlock()
	require.NoError(s.t, pty.Setsize(s.tty, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}))
}

// ends waits until the program has ended, and returns its exit code.
func (s *monitor) ends() int {
	s.t.Helper()
	select {
	case <-s.ended:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(stuck):
		require.Fail(s.t, "it has not ended", s.text())
		return -1
	}
}

// spawned starts a program that ends with the test at the latest.
func spawned(t *testing.T, dir string, program ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// TestWatch: the live view shows the queue, what changes in it, and fits its window.
func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := atTerminal(t, dir, 160, 12, "filelock", "status", "--watch", "--interval", "20ms", "target")
	s.shows(`^filelock: 1 lock \(q quits\)$`)
	s.shows(`/target: free$`)

	holder := spawned(t, dir, "filelock", "run", "target", "child", "-until", "end")
	s.shows(`^1 +inside +exclusive +.* inside +- +entry held +filelock run target child`)
	waiter := spawned(t, dir, "filelock", "run", "target", "child", "-until", "end")
	t.Log("\n" + s.shows(`^2 +waiting +.* alive +- +waits: witness held`))

	require.NoError(t, waiter.Process.Signal(syscall.SIGSTOP))
	s.shows(`^2 +stopped +`)
	require.NoError(t, waiter.Process.Signal(syscall.SIGCONT))
	s.shows(`^2 +waiting +`)

	// A narrow window cuts lines, and a low one scrolls.
	s.resize(40, 5)
	narrow := s.shows(`^filelock: 1 lock, lines 1 to 3 of 4, ar…$`)
	t.Log("\n" + narrow)
	for _, line := range strings.Split(narrow, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 40)
	}
	require.NotContains(t, narrow, "waiting")
	s.typed("\x1b[B") // down
	s.shows(`^2 +waiting`)
	s.typed("k")
	s.shows(`^filelock: 1 lock, lines 1 to 3 of 4`)
	s.typed("G")
	s.shows(`^2 +waiting`)
	s.typed("g")
	s.resize(160, 12)
	s.shows(`^1 +inside .*child -until end$`)

	// Killed, the wrapper leaves the lock to its command.
	require.NoError(t, holder.Process.Kill())
	t.Log("\n" + s.shows(`^1 +heir +.* inside +- +entry held by an heir; pid \d+ is gone +pid \d+: child -until end`))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "end"), nil, 0o644))
	s.shows(`/target: free$`)
	s.typed("q")
	require.Zero(t, s.ends())
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"q", "\x03", "\x1b"} {
		s := atTerminal(t, t.TempDir(), 80, 24, "filelock", "status", "--watch", "target")
		s.shows(`/target: free$`)
		s.typed(key)
		require.Zero(t, s.ends(), "%q", key)
	}
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		s := atTerminal(t, t.TempDir(), 80, 24, "filelock", "status", "--watch", "target")
		s.shows(`/target: free$`)
		require.NoError(t, s.cmd.Process.Signal(sig))
		require.Equal(t, 128+int(sig), s.ends())
		s.shows(`\A\z`) // what was there before, which is nothing
	}
}

// TestWatchErrors: what cannot be looked at is shown, and looked at again.
func TestWatchErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := atTerminal(t, dir, 120, 10, "filelock", "status", "--watch", "--interval", "20ms", "sub/target")
	s.shows(`^sub/target: error: .*no such file`)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	s.shows(`/sub/target: free$`)
	s.typed("q")
	require.Zero(t, s.ends())
}

// TestReapAsks: at a terminal reap --force says what it knows and asks; only yes is a yes.
func TestReapAsks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ticket := filepath.Join(dir, "target.lock.web-9.example.org.42.tok.pid")
	require.NoError(t, os.WriteFile(ticket, nil, 0o644))
	for _, no := range []string{"no\r", "y\r", "yes no\r", "\r", "\x04"} {
		s := atTerminal(t, dir, 120, 24, "filelock", "reap", "--force", ticket, "target")
		s.shows(`^1 +first +exclusive plain +web-9\.example\.org +42 `)
		s.shows(`^Whether its owner is inside cannot be told here\. If it is, removing the ticket lets two in`)
		s.shows(`^Remove it\? \[yes/no\]$`)
		s.typed(no)
		require.Equal(t, 76, s.ends(), "%q", no)
		require.FileExists(t, ticket)
		s.shows(`^filelock: nothing was removed$`)
	}
	s := atTerminal(t, dir, 120, 24, "filelock", "reap", "--force", ticket, "target")
	s.shows(`^Remove it\? \[yes/no\]$`)
	s.typed("yes\r")
	require.Zero(t, s.ends())
	t.Log("\n" + s.text())
	require.NoFileExists(t, ticket)

	// Who is inside is not even asked about.
	spawned(t, dir, "filelock", "run", "target", "child", "-until", "end", "-pid", "pid")
	s = atTerminal(t, dir, 120, 24, "filelock", "status", "--watch", "--interval", "20ms", "target")
	s.shows(`^1 +inside`)
	held, err := filepath.Glob(filepath.Join(dir, "target.lock.*"))
	require.NoError(t, err)
	require.Len(t, held, 1)
	s = atTerminal(t, dir, 120, 24, "filelock", "reap", "--force", held[0], "target")
	require.Equal(t, 75, s.ends())
	require.FileExists(t, held[0])
	require.NotContains(t, s.text(), "Remove it?")
}

// TestProgressBar: a test shows at a terminal how far it is, and takes that away.
func TestProgressBar(t *testing.T) {
	t.Parallel()
	s := atTerminal(t, t.TempDir(), 160, 40, "filelock", "verify", "--time", "1s", ".")
	t.Log("\n" + s.shows(`^\[#+\.+\] +\d+ % contending$`))
	require.Zero(t, s.ends())
	s.shows(`^verdict: safe`)
	require.NotContains(t, s.text(), "contending")
}
