package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Keys of a terminal.
const (
	ctrlC         = "\x03"
	ctrlD         = "\x04"
	ctrlZ         = "\x1a"
	ctrlBackslash = "\x1c"
)

// What a shell's job control does to a command, it does to one under the lock: each
// test is done with the command alone, too, so that the shell itself says what is right.
func withAndWithout(t *testing.T, f func(t *testing.T, lock string)) {
	for name, lock := range map[string]string{"filelock": "filelock run T ", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, lock)
		})
	}
}

func TestKeysEndTheCommand(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		for key, code := range map[string]int{ctrlC: 130, ctrlBackslash: 131} {
			s.enter(`%ssh -c 'echo $$ >pid; exec sleep 1000'`, lock)
			s.file("pid")
			s.press(key)
			s.prompt(code)
			s.remove("pid")
		}
		tickets, err := filepath.Glob(filepath.Join(s.dir, "*.pid"))
		require.NoError(t, err)
		require.Empty(t, tickets)
	})
}

// A key reaches the command once, and one that does something else about it goes on.
func TestKeyComesOnce(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		s.enter("%schild -pid pid -heard heard -until never -code 7", lock)
		pid := s.file("pid")
		s.press(ctrlC)
		s.file("heard")
		s.press(ctrlBackslash)
		until(t, "quit heard", func() bool { return s.file("heard") == "interrupt\nquit" })
		s.enter("") // a line that nobody reads
		require.NoError(t, signalPID(pid, "TERM"))
		s.prompt(7)
		require.Equal(t, "interrupt\nquit\nterminated", s.file("heard"))
	})
}

func TestStopAndContinue(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		s.enter("%schild -pid pid -until end -code 5", lock)
		pid := s.file("pid")
		for range 3 {
			s.press(ctrlZ)
			s.expect(`Stopped`)
			s.prompt(148) // 128 and SIGTSTP
			require.Equal(t, byte('T'), stateOf(pid))
			s.enter("fg")
			until(t, "continued", func() bool { return stateOf(pid) != 'T' })
		}
		s.press(ctrlZ)
		s.expect(`Stopped`)
		s.prompt(148)
		s.enter("bg")
		s.prompt(0)
		until(t, "continued", func() bool { return stateOf(pid) != 'T' })
		s.enter("jobs")
		s.expect(`Running`)
		s.prompt(0)
		s.enter("fg")
		s.expect(`child -pid pid`)
		s.gives()
		s.press(ctrlC)
		s.prompt(130)
	})
}

// A command of the background is stopped when it reads from the terminal, and reads when
// it is brought to the foreground.
func TestBackground(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		s.enter(`%ssh -c 'echo $$ >pid; read line; echo "read <$line>"; exit 4' &`, lock)
		pid := s.file("pid")
		until(t, "stopped", func() bool { return stateOf(pid) == 'T' })
		s.enter("wait %%1; jobs")
		s.expect(`Stopped`)
		s.prompt(0)
		s.enter("fg")
		s.expect(`read line`)
		s.enter("some text")
		s.expect(`read <some text>`)
		s.prompt(4)
	})
}

// The command is the terminal's foreground, as programs ask that want to draw there.
func TestForeground(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		s.enter(`%ssh -c 'ps -o pgid=,tpgid= -p $$; read line; echo "<$line>"'`, lock)
		groups := s.expect(`(\d+) +(\d+)\r\n`)
		require.Equal(t, groups[1], groups[2])
		s.enter("text")
		s.expect(`<text>`)
		s.prompt(0)
		// And afterwards the shell's is again: it could not read this.
		s.enter("echo here")
		s.expect(`here\r\n`)
	})
}

// A script's loop ends with the command that a key has ended.
func TestKeyEndsLoops(t *testing.T) {
	for _, shell := range []string{"bash", "dash"} {
		t.Run(shell, func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, lock string) {
				s := shellScreen(t)
				script := "for i in 1 2 3; do " + lock + "child -pid pid -until never; echo went on; done\n"
				require.NoError(t, os.WriteFile(filepath.Join(s.dir, "loop"), []byte(script), 0o666))
				s.enter("%s loop", shell)
				s.file("pid")
				s.press(ctrlC)
				s.prompt(130)
				require.NotContains(t, string(s.all), "went on")
			})
		})
	}
}

// So do the other parts of a pipeline, and what reads from it.
func TestKeyEndsPipelines(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		s.enter("%schild -pid pid -until never | child -pid pid2 -until never; child -code 3", lock)
		first, second := s.file("pid"), s.file("pid2")
		s.press(ctrlC)
		s.expect(`\{(130|3)\} $`)
		until(t, "both ended", func() bool { return stateOf(first) == 0 && stateOf(second) == 0 })
	})
}

// What has the terminal is stopped and continued with the rest of a script.
func TestStopInScript(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		script := lock + "child -pid pid -until end\necho after\n"
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "script"), []byte(script), 0o666))
		s.enter("bash script")
		pid := s.file("pid")
		s.press(ctrlZ)
		s.expect(`Stopped`)
		s.prompt(148)
		require.Equal(t, byte('T'), stateOf(pid))
		s.enter("touch end; fg")
		s.expect(`after`)
		s.prompt(0)
	})
}

// What is not the terminal's reader gets it when it needs it.
func TestTerminalOnDemand(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		s.enter(`echo input | %ssh -c 'cat; read line </dev/tty; echo "<$line>"; exit 6'`, lock)
		s.expect(`input\r\n`)
		s.enter("some text")
		s.expect(`<some text>`)
		s.prompt(6)
	})
}

// What a script starts in its background leaves the terminal to the script.
func TestScriptsBackground(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		script := lock + "child -pid pid -until end &\nread line\necho \"<$line>\"\ntouch end\nwait\n"
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "script"), []byte(script), 0o666))
		s.enter("sh script")
		s.file("pid")
		s.enter("some text")
		s.expect(`<some text>`)
		s.prompt(0)
	})
}

// Who stops filelock stops the command, and who continues the one continues the other.
func TestStopByOthers(t *testing.T) {
	t.Parallel()
	s := &stage{t, tools[0], t.TempDir()}
	p := s.start(s.with("") + "child -pid pid -until end -code 5")
	pid, wrapper := s.file("pid"), strconv.Itoa(p.cmd.Process.Pid)
	for range 3 {
		require.NoError(t, signalPID(wrapper, "TSTP"))
		until(t, "both stopped", func() bool { return stateOf(pid) == 'T' && stateOf(wrapper) == 'T' })
		require.NoError(t, signalPID(wrapper, "CONT"))
		until(t, "both continued", func() bool { return stateOf(pid) != 'T' && stateOf(wrapper) != 'T' })
	}
	// A debugger's stop is not passed on.
	require.NoError(t, signalPID(pid, "STOP"))
	until(t, "stopped", func() bool { return stateOf(pid) == 'T' })
	require.NotEqual(t, byte('T'), stateOf(wrapper))
	require.NoError(t, signalPID(wrapper, "CONT"))
	s.write("end", "")
	require.Equal(t, "exit 5", p.end())
}

// Where no shell would continue it, a stop by job control is none.
func TestStopOfOrphans(t *testing.T) {
	t.Parallel()
	s := &stage{t, tools[0], t.TempDir()}
	p := s.start("setsid --wait " + s.with("") + "child -pid pid -until end -code 5")
	pid := s.file("pid")
	require.NoError(t, signalPID(pid, "TSTP"))
	s.write("end", "")
	require.Equal(t, "exit 5", p.end())
}

// The size of the terminal is told once for each change.
func TestWindowSize(t *testing.T) {
	withAndWithout(t, func(t *testing.T, lock string) {
		s := shellScreen(t)
		s.enter("%schild -pid pid -heard heard -winch -until end", lock)
		s.file("pid")
		require.NoError(t, pty.Setsize(s.tty, &pty.Winsize{Rows: 30, Cols: 90}))
		require.Equal(t, "window changed", s.file("heard"))
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "end"), nil, 0o666))
		s.prompt(0)
		require.Equal(t, "window changed", s.file("heard"))
	})
}

// timeout(1) ends the command by one signal, whether it makes a job of its own or not.
func TestTimeout(t *testing.T) {
	for _, flags := range []string{"", "--foreground "} {
		t.Run(flags, func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, lock string) {
				s := shellScreen(t)
				s.enter("timeout %s1.5 %schild -pid pid -heard heard -deaf -until end", flags, lock)
				pid := s.file("pid")
				s.file("heard")
				// A second one would have come before this.
				require.NoError(t, signalPID(pid, "HUP"))
				until(t, "hangup heard", func() bool { return strings.HasSuffix(s.file("heard"), "hangup") })
				if lock != "" { // alone it may hear both of timeout's two
					require.Equal(t, "terminated\nhangup", s.file("heard"))
				}
				require.NoError(t, os.WriteFile(filepath.Join(s.dir, "end"), nil, 0o666))
				s.prompt(124)
			})
		})
	}
}

// While filelock waits, a line says for whom, and is gone afterwards.
func TestWaitingLine(t *testing.T) {
	t.Parallel()
	s := shellScreen(t)
	s.enter("filelock run T child -pid pid -until end &")
	s.file("pid")
	s.prompt(0)
	s.enter("filelock run T child -pid pid2 -until end2 &")
	s.prompt(0)
	until(t, "queued", func() bool { return len(ticketsIn(t, s.dir)) == 2 })
	s.enter("filelock run T child -code 6")
	s.expect(`\rwaiting 0s for T, position 3: `)
	s.expect(`\rwaiting 1s for T, position 3: pid \d+ on \S+ \(filelock run T`)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "end"), nil, 0o666))
	s.file("pid2")
	s.expect(`\rwaiting \ds for T, position 2: pid \d+ on \S+ \(filelock run T`)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "end2"), nil, 0o666))
	s.expect(`\r\x1b\[K(.|\s)*\{6\} $`)

	// A narrow terminal has a short line.
	s.remove("end")
	s.remove("pid")
	require.NoError(t, pty.Setsize(s.tty, &pty.Winsize{Rows: 24, Cols: 40}))
	s.enter("filelock run T child -pid pid -until end &")
	s.file("pid")
	s.enter("filelock run T child")
	shown := s.expect(`\r(waiting \d[^\r]*)\x1b\[K`)
	require.Len(t, []rune(shown[1]), 39)
	s.press(ctrlC)
	s.prompt(130)
	require.Len(t, ticketsIn(t, s.dir), 1)

	// With -q there is none, nor where the output is no terminal.
	s.enter("filelock run -q -w 1 T child")
	s.prompt(75)
	s.enter("filelock run -w 1 T child 2>err")
	s.prompt(75)
	require.NotContains(t, s.file("err"), "waiting")
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "end"), nil, 0o666))
}

// The same signal twice in a row, as to a process and then to its group, is one; but not
// a later one.
func TestSignalInARow(t *testing.T) {
	t.Parallel()
	s := &stage{t, tools[0], t.TempDir()}
	p := s.start(s.with("") + "child -pid pid -heard heard -deaf -until end")
	s.file("pid")
	wrapper := p.cmd.Process
	require.NoError(t, wrapper.Signal(unix.SIGTERM))
	s.file("heard") // so that it is not merged with the next one
	require.NoError(t, wrapper.Signal(unix.SIGTERM))
	first := time.Now()
	require.NoError(t, wrapper.Signal(unix.SIGHUP))
	until(t, "hangup heard", func() bool { return strings.HasSuffix(s.file("heard"), "hangup") })
	if time.Since(first) < 15*time.Millisecond { // else it was too late for the second
		require.Equal(t, "terminated\nhangup", s.file("heard"))
	}
	time.Sleep(50 * time.Millisecond)
	require.NoError(t, wrapper.Signal(unix.SIGTERM))
	until(t, "another one heard", func() bool { return strings.HasSuffix(s.file("heard"), "hangup\nterminated") })
	s.write("end", "")
	require.Equal(t, "exit 0", p.end())
}

// Who stops filelock alone has the shell take the terminal: in the foreground the command
// gets it again, and from the background it is not taken from the shell.
func TestStopOfTheWrapper(t *testing.T) {
	t.Parallel()
	s := shellScreen(t)
	s.enter(`filelock run T sh -c 'echo $PPID >pid; child -until reads; read line; echo "<$line>"; exec child -until end -code 4'`)
	wrapper := s.file("pid")
	require.NoError(t, signalPID(wrapper, "STOP"))
	s.expect(`Stopped`)
	s.prompt(147) // 128 and SIGSTOP
	s.enter("fg")
	s.expect(`filelock run T`)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "reads"), nil, 0o666))
	s.enter("some text")
	s.expect(`<some text>`)

	require.NoError(t, signalPID(wrapper, "STOP"))
	s.expect(`Stopped`)
	s.prompt(147)
	s.enter("bg")
	s.prompt(0)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "end"), nil, 0o666))
	until(t, "given back", func() bool { return len(ticketsIn(t, s.dir)) == 0 })
	until(t, "ended", func() bool { return stateOf(wrapper) == 0 || stateOf(wrapper) == 'Z' })
	s.enter("echo here; wait %%1")
	s.expect(`here\r\n`)
	s.prompt(4)
}
