//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// stuck is how long to wait for what must happen.
const stuck = 20 * time.Second

// commands are what the scripts have besides testscript's own.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	// exits CODE PROGRAM ARG...: run it; it must exit with CODE.
	"exits": exits,
	// took MIN MAX: the last exits or ends took that long.
	"took": took,
	// eventually CODE PROGRAM ARG...: run it again and again until it exits with CODE.
	"eventually": eventually,
	// spawn NAME PROGRAM ARG...: start it and go on.
	"spawn": spawn,
	// spawntty NAME PROGRAM ARG...: the same at a terminal of its own.
	"spawntty": spawnTTY,
	// type NAME TEXT: type TEXT at its terminal; \x03 and the like are keys.
	"type": typeText,
	// signal SIGNAL NAME|FILE: send it to a spawned process, or to that whose pid is in FILE.
	"signal": sendSignal,
	// ends CODE NAME: the spawned process must end, with CODE. Its output is
	// then what stdout and stderr look at.
	"ends": ends,
	// same NAME FILE: the spawned process has the pid that is in FILE.
	"same": same,
	// waitfile FILE [TEXT]: wait until it exists, and contains TEXT.
	"waitfile": waitFile,
	// queue N TARGET: wait until N tickets are in the queue.
	"queue": queue,
	// tickets N TARGET: there must be N tickets in the queue now.
	"tickets": tickets,
}

func run(ts *testscript.TestScript, args []string) int {
	p := processesOf(ts)
	cmd := p.command(ts, args)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second // a busy machine takes its time, and few leave an orphan here
	began := time.Now()
	ts.Check(cmd.Start())
	kill := time.AfterFunc(stuck, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	p.took = time.Since(began)
	kill.Stop()
	ts.Stdout().Write(out.Bytes())
	ts.Stderr().Write(errs.Bytes())
	return codeOf(ts, cmd, err)
}

func codeOf(ts *testscript.TestScript, cmd *exec.Cmd, err error) int {
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		ts.Fatalf("%v", err)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 1000 + int(status.Signal()) // none that a program may give
	}
	return cmd.ProcessState.ExitCode()
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want := number(ts, args, 2)
	if got := run(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func took(ts *testscript.TestScript, neg bool, args []string) {
	min, err := time.ParseDuration(args[0])
	ts.Check(err)
	max, err := time.ParseDuration(args[1])
	ts.Check(err)
	if got := processesOf(ts).took; got < min || got > max {
		ts.Fatalf("took %v, want %v to %v", got, min, max)
	}
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	want := number(ts, args, 2)
	var out, errs bytes.Buffer
	poll(ts, "exit code "+args[0], func() bool {
		cmd := processesOf(ts).command(ts, args[1:])
		out.Reset()
		errs.Reset()
		cmd.Stdout, cmd.Stderr = &out, &errs
		return codeOf(ts, cmd, cmd.Run()) == want
	})
	ts.Stdout().Write(out.Bytes())
	ts.Stderr().Write(errs.Bytes())
}

func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	text := strings.Join(args[1:], " ")
	poll(ts, strings.Join(args, " with "), func() bool {
		got, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(got), text)
	})
}

func queue(ts *testscript.TestScript, neg bool, args []string) {
	want := number(ts, args, 2)
	poll(ts, args[0]+" tickets", func() bool { return len(ticketsOf(ts, args[1])) == want })
}

func tickets(ts *testscript.TestScript, neg bool, args []string) {
	want := number(ts, args, 2)
	if got := ticketsOf(ts, args[1]); len(got) != want {
		ts.Fatalf("tickets: %q, want %d", got, want)
	}
}

// ticketsOf lists whatever the lock keeps beside its target, by name alone.
func ticketsOf(ts *testscript.TestScript, target string) []string {
	target = ts.MkAbs(target)
	entries, err := os.ReadDir(filepath.Dir(target))
	ts.Check(err)
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(target)+".lock.") {
			names = append(names, e.Name())
		}
	}
	return names
}

func poll(ts *testscript.TestScript, what string, done func() bool) {
	for end := time.Now().Add(stuck); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("no %s within %v", what, stuck)
		}
	}
}

func number(ts *testscript.TestScript, args []string, least int) int {
	if len(args) < least {
		ts.Fatalf("too few arguments")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	return n
}
