package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var jobScenes = []scene{
	{"Ctrl-C in a loop of bash", "the loop ends", "the loop ends", keyInLoop("bash")},
	{"Ctrl-C in a loop of dash", "the loop ends", "the loop ends", keyInLoop("dash")},
	{"Ctrl-Z and fg", "stops, goes on", "stops, goes on", stopped},
	{"a child that the command leaves running", "held", "held", leaving("", "")},
	{"the same, with -o", "free", "free", leaving("-o", "")},
	{"a daemon, which closes its files", "free", "free", leaving("", "-close")},
	{"a run inside a run of the same file", "exit 65 at once", "waits for itself", nested},
	{"nohup, HUP to the wrapper's group", "exit 4", "exit 4", func(s *stage) string {
		p := s.start("nohup " + s.with("") + "child -pid pid -until end -code 4")
		s.file("pid")
		require.NoError(s, unix.Kill(-p.cmd.Process.Pid, unix.SIGHUP))
		s.write("end", "")
		return p.end()
	}},
	{"setsid, TERM to the session's group", "SIGTERM", "SIGTERM", func(s *stage) string {
		p := s.start("setsid --wait " + s.with("") + `sh -c 'ps -o sid= -p $$ >session; exec sleep 100'`)
		var leader int
		_, err := fmt.Sscan(s.file("session"), &leader)
		require.NoError(s, err)
		require.NoError(s, unix.Kill(-leader, unix.SIGTERM))
		if ending := p.end(); ending != "exit 15" && ending != "exit 143" { // as setsid has it
			return ending
		}
		return "SIGTERM"
	}},
	{"timeout", "exit 124, TERM once", "exit 124, TERM once", timedOut("")},
	{"timeout --foreground", "exit 124, TERM once", "exit 124, TERM not heard", timedOut("--foreground")},
	{"xargs -P 4, 12 runs", "one at a time", "one at a time", func(s *stage) string {
		s.write("job", "#!/bin/sh\nmkdir inside || echo overlap >>log\nsleep 0.01\nrmdir inside\necho run >>log\n")
		ending, _ := s.run(`sh -c 'seq 12 | xargs -P 4 -I N ` + s.with("") + `./job'`)
		require.Equal(s, "exit 0", ending)
		require.Equal(s, strings.Repeat("run\n", 11)+"run", s.file("log"))
		return "one at a time"
	}},
}

func keyInLoop(shell string) func(s *stage) string {
	return func(s *stage) string {
		screen := shellScreen(s.T)
		script := "for i in 1 2 3; do " + s.with("") + "child -pid pid -until never; echo went on; done\n"
		require.NoError(s, os.WriteFile(filepath.Join(screen.dir, "loop"), []byte(script), 0o666))
		screen.enter("%s loop", shell)
		screen.file("pid")
		screen.press(ctrlC)
		screen.prompt(130)
		require.NotContains(s, string(screen.all), "went on")
		return "the loop ends"
	}
}

func stopped(s *stage) string {
	screen := shellScreen(s.T)
	screen.enter("%schild -pid pid -until end -code 5", s.with(""))
	pid := screen.file("pid")
	screen.press(ctrlZ)
	screen.expect("Stopped")
	screen.prompt(148)
	require.Equal(s, byte('T'), stateOf(pid))
	screen.enter("touch end; fg")
	screen.prompt(5)
	return "stops, goes on"
}

// leaving has the command leave a child.
func leaving(flags, childFlags string) func(s *stage) string {
	return func(s *stage) string {
		ending, _ := s.run(s.with(flags) + `sh -c 'child -pid pid -until end ` + childFlags + ` >/dev/null 2>&1 & exit 3'`)
		require.Equal(s, "exit 3", ending)
		s.file("pid")
		return s.free()
	}
}

func nested(s *stage) string {
	inner := s.with("-w 0.3") + "true"
	if s.name == "filelock" {
		inner = s.with("") + "true"
	}
	ending, _ := s.run(s.with("") + inner)
	if ending == "exit 1" { // of its -w
		return "waits for itself"
	}
	return ending + " at once"
}

func timedOut(flag string) func(s *stage) string {
	return func(s *stage) string {
		p := s.start("timeout " + flag + " 0.7 " + s.with("") + "child -pid pid -heard heard -deaf -until end")
		pid := s.file("pid")
		if s.name == "flock" && flag != "" {
			return p.end() + ", TERM not heard"
		}
		s.file("heard")
		// A second one would have come before this.
		require.NoError(s, signalPID(pid, "HUP"))
		until(s.T, "hangup heard", func() bool { return strings.HasSuffix(s.file("heard"), "hangup") })
		require.Equal(s, "terminated\nhangup", s.file("heard"))
		s.write("end", "")
		return p.end() + ", TERM once"
	}
}

func (s *stage) exists(name string) bool {
	_, err := os.Stat(filepath.Join(s.dir, name))
	return err == nil
}

// needs skips where a program is not there.
func (s *stage) needs(programs ...string) {
	s.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			s.Skip(err)
		}
	}
}

// waits waits until a process waits for the lock: it has a ticket, or is asleep in
// flock(2).
func (s *stage) waits(p *started) {
	s.Helper()
	until(s.T, "it waits", func() bool {
		if s.name == "filelock" {
			return len(ticketsIn(s.T, s.dir)) > 1
		}
		// The shell that it was executed from does not sleep in this call.
		at, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", p.cmd.Process.Pid))
		return err == nil && strings.HasPrefix(string(at), fmt.Sprint(unix.SYS_FLOCK, " "))
	})
}
