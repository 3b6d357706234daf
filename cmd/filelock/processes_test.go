//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// processes are what one script has spawned.
type processes struct {
	running map[string]*process
	took    time.Duration // by the last program that was waited for
}

type processesKey struct{}

type process struct {
	cmd    *exec.Cmd
	began  time.Time
	ended  chan struct{} // closed when err is set
	err    error
	stdout output
	stderr output
	tty    *os.File // where to type, or nil
}

// output is what a process writes, and may be read meanwhile.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func processesOf(ts *testscript.TestScript) *processes {
	return ts.Value(processesKey{}).(*processes)
}

// command makes a command that sees what the script has set up.
func (p *processes) command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir = ts.MkAbs(".")
	// With -race a process would sleep a second before it exits.
	cmd.Env = append(os.Environ(), "PWD="+cmd.Dir, "GORACE=atexit_sleep_ms=0")
	// An orphan may keep an output open: whoever runs it is not to wait for it.
	cmd.WaitDelay = 100 * time.Millisecond
	return cmd
}

func (p *processes) killAll() {
	for _, r := range p.running {
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
}

func spawn(ts *testscript.TestScript, neg bool, args []string) { start(ts, args, nil, nil) }

// start spawns a process, with a terminal or without.
func start(ts *testscript.TestScript, args []string, inside, outside *os.File) {
	if len(args) < 2 {
		ts.Fatalf("usage: spawn NAME PROGRAM ARG...")
	}
	p := processesOf(ts)
	r := &process{cmd: p.command(ts, args[1:]), ended: make(chan struct{}), tty: outside}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if inside != nil {
		r.cmd.Stdin, r.cmd.SysProcAttr = inside, ownTerminal()
	}
	r.began = time.Now()
	ts.Check(r.cmd.Start())
	p.running[args[0]] = r
	go func() {
		defer close(r.ended)
		r.err = r.cmd.Wait()
	}()
}

func ends(ts *testscript.TestScript, neg bool, args []string) {
	want := number(ts, args, 2)
	p := processesOf(ts)
	r := p.running[args[1]]
	if r == nil {
		ts.Fatalf("there is no process %s", args[1])
	}
	select {
	case <-r.ended:
	case <-time.After(stuck):
		ts.Fatalf("%s has not ended within %v", args[1], stuck)
	}
	delete(p.running, args[1])
	p.took = time.Since(r.began)
	io.WriteString(ts.Stdout(), r.stdout.String())
	io.WriteString(ts.Stderr(), r.stderr.String())
	err := r.err
	if err == exec.ErrWaitDelay {
		err = nil
	}
	if got := codeOf(ts, r.cmd, err); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	sig, ok := signalsByName[args[0]]
	if !ok {
		ts.Fatalf("there is no signal %s here", args[0])
	}
	if r := processesOf(ts).running[args[1]]; r != nil {
		ts.Check(r.cmd.Process.Signal(sig))
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	p, err := os.FindProcess(pid)
	ts.Check(err)
	ts.Check(p.Signal(sig))
}

func same(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	if got := processesOf(ts).running[args[0]].cmd.Process.Pid; got != pid {
		ts.Fatalf("%s is process %d, not %d", args[0], got, pid)
	}
}

var signalsByName = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL,
	"ALRM": syscall.SIGALRM, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
	"TSTP": syscall.SIGTSTP, "CONT": syscall.SIGCONT, "STOP": syscall.SIGSTOP,
}

func typeText(ts *testscript.TestScript, neg bool, args []string) {
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	_, err = processesOf(ts).running[args[0]].tty.WriteString(text)
	ts.Check(err)
}

// signalPID sends a signal by its name.
func signalPID(pid, name string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	return syscall.Kill(n, signalsByName[name])
}
