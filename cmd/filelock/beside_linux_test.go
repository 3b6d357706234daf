package main

import (
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

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// tool is one of the two that are compared: it locks the file L of the working
// directory.
type tool struct {
	name string
	lock string // the command line, to which flags are added
	file string
}

var tools = []tool{
	{"filelock", "filelock run", "T"},
	{"flock", "flock", "F"},
}

// with is the tool's command line with some flags.
func (l tool) with(flags string) string {
	return strings.TrimSpace(l.lock+" "+flags) + " " + l.file + " "
}

// scene is a row of the table in docs/command.md: what happens, and how it ends with
// each of the two. play makes it happen and says how it ended.
type scene struct {
	what            string
	filelock, flock string
	play            func(s *stage) string
}

// stage is where a scene is played: a directory of its own.
type stage struct {
	*testing.T
	tool
	dir string
}

const goesOn = 300 * time.Millisecond // that a process goes on is seen by then

var scenes = slices.Concat(signalScenes, jobScenes, placeScenes, errorScenes)

func TestBesideFlock(t *testing.T) {
	for _, c := range scenes {
		for i, l := range tools {
			t.Run(c.what+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				if _, err := exec.LookPath(l.name); err != nil {
					t.Skip(err)
				}
				want := []string{c.filelock, c.flock}[i]
				require.Equal(t, want, c.play(&stage{t, l, t.TempDir()}))
			})
		}
	}
}

// The table in the docs is this one.
func TestBesideFlockDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "command.md"))
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(page), "\n## Beside flock(1)\n")
	require.True(t, ok)
	for _, c := range scenes {
		require.Contains(t, section, fmt.Sprintf("\n| %s | %s | %s |\n", c.what, c.filelock, c.flock))
	}
	require.Equal(t, len(scenes), strings.Count(section, "\n| ")-1, "rows of the table")
}

// started is a program that was started.
type started struct {
	*stage
	cmd *exec.Cmd
	out strings.Builder
}

// start starts a command line of the shell, as the leader of a process group.
func (s *stage) start(line string) *started {
	s.Helper()
	p := &started{stage: s, cmd: exec.Command("sh", "-c", "exec "+line)}
	p.cmd.Dir = s.dir
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = 100 * time.Millisecond
	require.NoError(s, p.cmd.Start())
	s.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(s.dir, "end"), nil, 0o666) // for what it may have left
		_ = p.cmd.Process.Kill()
	})
	return p
}

// end waits for the end, and says how it was.
func (p *started) end() string {
	p.Helper()
	kill := time.AfterFunc(stuck, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	err := p.cmd.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) && !errors.Is(err, exec.ErrWaitDelay) {
		p.Fatal(err)
	}
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return fmt.Sprint("exit ", p.cmd.ProcessState.ExitCode())
}

// run runs a command line to its end.
func (s *stage) run(line string) (ending, output string) {
	s.Helper()
	p := s.start(line)
	ending = p.end()
	return ending, strings.TrimSpace(p.out.String())
}

func (s *stage) file(name string) string {
	s.Helper()
	return waitForFile(s.T, filepath.Join(s.dir, name))
}

func (s *stage) write(name, text string) {
	s.Helper()
	require.NoError(s, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o755))
}

// free says whether the lock is free.
func (s *stage) free() string {
	s.Helper()
	if ending, _ := s.run(s.with("-n") + "true"); ending == "exit 0" {
		return "free"
	}
	return "held"
}

// goes says whether a process goes on.
func (s *stage) goes(pid string) string {
	s.Helper()
	for end := time.Now().Add(goesOn); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if state := stateOf(pid); state == 0 || state == 'Z' {
			return "ends"
		}
	}
	return "goes on"
}
