package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// screen is a terminal with a process that leads its session.
type screen struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	tty *os.File // our end

	mu     sync.Mutex
	output []byte // what it has shown and nobody has looked at yet
	news   chan struct{}
	all    []byte
}

// openScreen starts a program at a terminal of its own. Its directory is new.
func openScreen(t *testing.T, argv ...string) *screen {
	t.Helper()
	s := &screen{t: t, dir: t.TempDir(), news: make(chan struct{}, 1)}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Skip(err)
	}
	s.cmd = exec.Command(path, argv[1:]...)
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "TERM=dumb", "PS1={$?} ", "PS2=", "HISTFILE=", "GORACE=atexit_sleep_ms=0")
	s.tty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Skipf("no terminal may be had here: %v", err)
	}
	t.Cleanup(func() {
		s.tty.Close() // all that runs there is told
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	go s.read()
	return s
}

// shellScreen is a screen with an interactive bash, which prompts with the exit code of
// the last command.
func shellScreen(t *testing.T) *screen {
	t.Helper()
	s := openScreen(t, "bash", "--norc", "--noprofile", "-i")
	s.expect(`\{0\} $`)
	return s
}

func (s *screen) read() {
	buf := make([]byte, 4096)
	for {
		n, err := s.tty.Read(buf)
		s.mu.Lock()
		s.output = append(s.output, buf[:n]...)
		s.all = append(s.all, buf[:n]...)
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// enter types a line.
func (s *screen) enter(format string, args ...any) { s.press(fmt.Sprintf(format, args...) + "\n") }

// press types text as it is: keys like \x03.
func (s *screen) press(text string) {
	s.t.Helper()
	_, err := s.tty.WriteString(text)
	require.NoError(s.t, err)
}

// expect waits until what was shown since the last match matches pattern, and returns
// it with its groups.
func (s *screen) expect(pattern string) []string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(stuck)
	for {
		s.mu.Lock()
		found := re.FindSubmatchIndex(s.output)
		var groups []string
		if found != nil {
			for i := 0; i < len(found); i += 2 {
				groups = append(groups, string(s.output[found[i]:found[i+1]]))
			}
			s.output = s.output[found[1]:]
		}
		shown := string(s.output)
		s.mu.Unlock()
		if found != nil {
			return groups
		}
		select {
		case <-s.news:
		case <-deadline:
			s.t.Fatalf("no %q on the screen:\n%s", pattern, shown)
		}
	}
}

// prompt waits for the shell's prompt after a command that ended with this code.
func (s *screen) prompt(code int) {
	s.t.Helper()
	got := s.expect(`\{(\d+)\} $`)
	require.Equal(s.t, fmt.Sprint(code), got[1], "exit code")
}

// gives waits until the shell has given the terminal to a job.
func (s *screen) gives() {
	s.t.Helper()
	until(s.t, "the terminal is a job's", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
		require.NoError(s.t, err)
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		return fields[2] != fields[5] // its process group, the terminal's
	})
}

// file waits for a file of the screen's directory, and returns what is in it.
func (s *screen) file(name string) string {
	s.t.Helper()
	return waitForFile(s.t, filepath.Join(s.dir, name))
}

func (s *screen) remove(name string) {
	s.t.Helper()
	require.NoError(s.t, os.Remove(filepath.Join(s.dir, name)))
}

// waitForFile waits until a file has something in it, and returns that.
func waitForFile(t *testing.T, path string) string {
	t.Helper()
	for end := time.Now().Add(stuck); ; time.Sleep(2 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err == nil && len(text) > 0 {
			return strings.TrimSpace(string(text))
		}
		if time.Now().After(end) {
			t.Fatalf("no %s: %v", path, err)
		}
	}
}

// until waits for something to be so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(stuck); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// stateOf is the state of a process as /proc has it: 'S', 'T', 'Z' and the like, or 0
// if there is none.
func stateOf(pid string) byte {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return rest[0]
}
