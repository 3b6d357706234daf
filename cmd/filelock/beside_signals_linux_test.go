package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var signalScenes = []scene{
	{"TERM to the wrapper", "SIGTERM, the work ends, free", "SIGTERM, the work goes on, held", fate(unix.SIGTERM, "wrapper")},
	{"KILL to the wrapper", "SIGKILL, the work goes on, held", "SIGKILL, the work goes on, held", fate(unix.SIGKILL, "wrapper")},
	{"TERM to the script that is run", "SIGTERM, the work goes on, held", "exit 143, the work goes on, held", fate(unix.SIGTERM, "script")},
	{"KILL to the script that is run", "SIGKILL, the work goes on, held", "exit 137, the work goes on, held", fate(unix.SIGKILL, "script")},
	{"TERM to the wrapper's group", "SIGTERM, the work ends, free", "SIGTERM, the work ends, free", fate(unix.SIGTERM, "group")},
	{"KILL to the wrapper's group", "SIGKILL, the work goes on, held", "SIGKILL, the work ends, free", fate(unix.SIGKILL, "group")},
	{"HUP, TERM to the wrapper, of a command that goes on", "heard once each, exit 7", "SIGHUP, nothing heard", heard("wrapper", unix.SIGHUP, unix.SIGTERM)},
	{"HUP, TERM to the wrapper's group, of a command that goes on", "heard once each, exit 7", "SIGHUP, heard once each", heard("group", unix.SIGHUP, unix.SIGTERM)},
	{"USR1, USR2, WINCH, PWR, RTMIN+3 to the wrapper", "passed on", "USR1 ends the wrapper", passedOn},
	{"ignored: HUP INT QUIT TERM USR1 PIPE", "ignored in the command", "ignored in the command", ignored},
	{"blocked: USR1 USR2 RTMIN+1", "blocked in the command", "blocked in the command", blocked("10,12,35")},
	{"blocked: INT TERM", "let in", "blocked in the command", blocked("2,15")},
	{"the command ended by a signal", "the same signal", "exit 143", func(s *stage) string {
		ending, _ := s.run(s.with("") + `sh -c 'kill -TERM $$'`)
		return strings.Replace(ending, "SIGTERM", "the same signal", 1)
	}},
	{"TERM to one that waits", "SIGTERM", "SIGTERM", func(s *stage) string {
		s.start(s.with("") + "child -pid pid -until end")
		s.file("pid")
		waiter := s.start(s.with("") + "true")
		s.waits(waiter)
		require.NoError(s, waiter.cmd.Process.Signal(unix.SIGTERM))
		return waiter.end()
	}},
}

// fate has a script run some work, signals somebody, and says how the wrapper ended,
// what the work does and what the lock is.
func fate(sig unix.Signal, whom string) func(s *stage) string {
	return func(s *stage) string {
		wrapper := s.start(s.with("") + `sh -c 'echo $$ >script; child -pid pid -until end; :'`)
		work, script := s.file("pid"), s.file("script")
		to := wrapper.cmd.Process.Pid
		switch whom {
		case "group":
			to = -to
		case "script":
			n, err := strconv.Atoi(script)
			require.NoError(s, err)
			to = n
		}
		require.NoError(s, unix.Kill(to, sig))
		ending := wrapper.end()
		return fmt.Sprintf("%s, the work %s, %s", ending, s.goes(work), s.free())
	}
}

// heard sends signals to a command that hears them, and says what it heard.
func heard(whom string, signals ...unix.Signal) func(s *stage) string {
	return func(s *stage) string {
		wrapper := s.start(s.with("") + "child -pid pid -heard heard -until end -code 7")
		s.file("pid")
		to := wrapper.cmd.Process.Pid
		if whom == "group" {
			to = -to
		}
		for i, sig := range signals {
			if err := unix.Kill(to, sig); err == unix.ESRCH {
				break
			}
			if i == 0 && (s.name == "filelock" || whom == "group") {
				s.file("heard") // one after the other
			}
		}
		ending := wrapper.end()
		if whom == "group" { // who has not ended by the first has got the second
			require.Eventually(s, func() bool { return strings.Contains(s.file("heard"), "terminated") }, stuck, time.Millisecond)
		}
		what := "nothing heard"
		if s.exists("heard") {
			require.Equal(s, "hangup\nterminated", s.file("heard"))
			what = "heard once each"
		}
		if ending == "exit 7" {
			return what + ", " + ending
		}
		return ending + ", " + what
	}
}

func passedOn(s *stage) string {
	wrapper := s.start(s.with("") + "child -pid pid -heard heard -all -until end")
	s.file("pid")
	var want []string
	for _, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGPWR, 37} {
		require.NoError(s, wrapper.cmd.Process.Signal(sig))
		if s.name == "flock" {
			return strings.Replace(wrapper.end(), "SIGUSR1", "USR1 ends the wrapper", 1)
		}
		want = append(want, sig.String())
		require.Eventually(s, func() bool { return s.file("heard") == strings.Join(want, "\n") }, stuck, time.Millisecond)
	}
	s.write("end", "")
	require.Equal(s, "exit 0", wrapper.end())
	return "passed on"
}

func ignored(s *stage) string {
	_, alone := s.run(`sh -c 'trap "" HUP INT QUIT TERM USR1 PIPE; grep SigIgn /proc/self/status'`)
	_, under := s.run(`sh -c 'trap "" HUP INT QUIT TERM USR1 PIPE; ` + s.with("") + `grep SigIgn /proc/self/status'`)
	require.NotContains(s, alone, "\t0000000000000000")
	if alone != under {
		return under
	}
	// And so the group may be told to end without effect on any.
	s.write("job", "echo $$ >pid; while [ ! -e end ]; do sleep 0.02; done; exit 4")
	wrapper := s.start(`sh -c 'trap "" TERM; exec ` + s.with("") + `sh ./job'`)
	s.file("pid")
	require.NoError(s, unix.Kill(-wrapper.cmd.Process.Pid, unix.SIGTERM))
	s.write("end", "")
	require.Equal(s, "exit 4", wrapper.end())
	return "ignored in the command"
}

func blocked(numbers string) func(s *stage) string {
	return func(s *stage) string {
		_, alone := s.run("blocking " + numbers + " grep SigBlk /proc/self/status")
		_, under := s.run("blocking " + numbers + " " + s.with("") + "grep SigBlk /proc/self/status")
		require.NotContains(s, alone, "\t0000000000000000")
		switch {
		case alone == under:
			return "blocked in the command"
		case strings.Contains(under, "\t0000000000000000"):
			return "let in"
		}
		return under
	}
}
