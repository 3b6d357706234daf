package main

import (
	"fmt"
	"os/exec"
	"strings"

	"github.com/stretchr/testify/require"
)

var placeScenes = []scene{
	{"as cron starts it: no environment, no terminal, a free lock", "exit 0, silent", "exit 0, silent", cron},
	{"the same with -n and a held lock", "exit 75, says who", "exit 1, silent", cronBusy("-n")},
	{"the same with -qn", "exit 75, silent", "–", func(s *stage) string {
		if s.name == "flock" {
			return "–"
		}
		return cronBusy("-qn")(s)
	}},
	{"process 1 of a container: orphans", "reaped", "zombies", processOne},
	{"process 1 of a container: TERM", "the command ends, exit 143", "not heard", processOneTerm},
	{"standard input closed", "is /dev/null", "is the lock file", closed("<&-", 0)},
	{"standard output closed", "is /dev/null", "is the lock file", closed(">&-", 1)},
}

// closed says what the command has for a standard stream that was closed.
func closed(redirection string, fd int) func(s *stage) string {
	return func(s *stage) string {
		s.write("look", fmt.Sprintf("x=$(readlink /proc/$$/fd/%d); echo \"$x\" >out", fd))
		s.run(`sh -c 'exec ` + s.with("") + "sh ./look " + redirection + `'`)
		out := s.file("out")
		if strings.HasSuffix(out, "/F") {
			out = "the lock file"
		}
		return "is " + out
	}
}

func cron(s *stage) string {
	ending, out := s.run(`sh -c 'lock=$(command -v ` + s.name + `); exec env -i PATH=/usr/bin:/bin SHELL=/bin/sh setsid --wait "$lock" ` +
		strings.TrimPrefix(s.with(""), s.name) + `-c "echo done >made" </dev/null'`)
	require.Equal(s, "done", s.file("made"))
	return ending + said(out)
}

func cronBusy(flags string) func(s *stage) string {
	return func(s *stage) string {
		s.start(s.with("") + "child -pid pid -until end")
		s.file("pid")
		ending, out := s.run(`sh -c '` + s.with(flags) + `true </dev/null'`)
		return ending + said(out)
	}
}

func said(out string) string {
	if out == "" {
		return ", silent"
	}
	return ", says who"
}

// inContainer is a command line that runs another as process 1.
func (s *stage) inContainer(line string) string {
	s.Helper()
	s.needs("unshare")
	namespaces := "unshare --mount --pid --fork --mount-proc --kill-child "
	if exec.Command("sh", "-c", namespaces+"true").Run() != nil {
		namespaces = "unshare --map-root-user --mount --pid --fork --mount-proc --kill-child "
		if err := exec.Command("sh", "-c", namespaces+"true").Run(); err != nil {
			s.Skip("no namespaces may be made here: ", err)
		}
	}
	return namespaces + line
}

// processOne leaves an orphan that ends, and looks for zombies among what is left.
func processOne(s *stage) string {
	ending, out := s.run(s.inContainer(s.with("") +
		`sh -c '(sh -c "echo \$\$ >orphan" &); while [ ! -s orphan ]; do :; done; ` +
		`for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.02; grep -qs "^State:.Z" /proc/[0-9]*/status || { echo reaped; exit 3; }; done; echo zombies; exit 3'`))
	require.Equal(s, "exit 3", ending, out)
	return out
}

func processOneTerm(s *stage) string {
	p := s.start(s.inContainer(s.with("") + `sh -c 'echo $$ >pid; exec sleep 100'`))
	s.file("pid")
	// The wrapper is unshare's child.
	children := s.file(fmt.Sprintf("../../../../../../../../proc/%d/task/%d/children", p.cmd.Process.Pid, p.cmd.Process.Pid))
	require.NoError(s, signalPID(children, "TERM"))
	if s.goes(children) == "goes on" {
		return "not heard"
	}
	return "the command ends, " + p.end()
}
