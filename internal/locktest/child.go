// Package locktest is for the tests of this module: other processes, made by
// running the test binary again, and a witness of overlaps that does not trust
// the lock under test.
package locktest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Stuck is how long a test waits for what must happen before it gives up.
const Stuck = 30 * time.Second

// ChildEnv is the environment variable that makes a process of the test binary a
// child. It holds the call as JSON.
const ChildEnv = "FILELOCK_TEST_CHILD"

var mains = map[string]func(args []string) error{
	"idle": func([]string) error { time.Sleep(2 * Stuck); return nil },
}

// Register names a main function for child processes. Call it from an init
// function.
func Register(name string, main func(args []string) error) { mains[name] = main }

// AtEnd is called when a child ends by itself.
var AtEnd = func() {}

// RunChild runs the registered main and exits if this process was started by
// Start. Call it first in TestMain.
func RunChild() {
	call := os.Getenv(ChildEnv)
	if call == "" {
		return
	}
	var args []string
	if err := json.Unmarshal([]byte(call), &args); err != nil {
		panic(err)
	}
	if err := mains[args[0]](args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "child %s: %v\n", args[0], err)
		os.Exit(1)
	}
	AtEnd()
	os.Exit(0)
}

// Goroutines returns an error that names the goroutines that are left, once they
// have had time enough to end: one that closes an inotify instance waits for the
// kernel, on a busy machine for longer than goleak itself would.
func Goroutines() error {
	for end := time.Now().Add(Stuck); ; {
		if err := goleak.Find(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// Child is another process of this test binary.
type Child struct {
	t     testing.TB
	Cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string
	errs  strings.Builder
	once  sync.Once
	err   error
}

// Command returns a command that runs a registered main in a child process,
// for those who wrap it.
func Command(t testing.TB, args ...any) (env string, path string) {
	t.Helper()
	env, path, err := call(args)
	if err != nil {
		t.Fatal(err)
	}
	return env, path
}

func call(args []any) (env string, path string, err error) {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = fmt.Sprint(a)
	}
	text, err := json.Marshal(words)
	if err != nil {
		return "", "", err
	}
	path, err = os.Executable()
	return ChildEnv + "=" + string(text), path, err
}

// command returns the command of a child.
func command(args ...any) (*exec.Cmd, error) {
	env, path, err := call(args)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path)
	// The race detector has every process wait a second before it exits.
	cmd.Env = append(os.Environ(), env, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd, nil
}

// Idler returns a command that does nothing for longer than any test waits, as
// sleep(1) does where there is one.
func Idler() *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), ChildEnv+`=["idle"]`)
	return cmd
}

// Start runs a registered main in a child process. The child is killed when
// the test ends.
func Start(t testing.TB, args ...any) *Child {
	t.Helper()
	cmd, err := command(args...)
	if err != nil {
		t.Fatal(err)
	}
	return StartCmd(t, cmd)
}

// StartCmd runs cmd, which is to become a child of this package.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Child {
	t.Helper()
	c := &Child{t: t, Cmd: cmd, lines: make(chan string, 1024)}
	cmd.Stderr = &c.errs
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		c.Wait()
	})
	return c
}

// Pid returns the child's process id.
func (c *Child) Pid() int { return c.Cmd.Process.Pid }

// Line returns the next line that the child prints.
func (c *Child) Line() string {
	c.t.Helper()
	select {
	case line, ok := <-c.lines:
		if !ok {
			c.Wait()
			c.t.Fatalf("the child ended: %v\n%s", c.err, c.errs.String())
		}
		return line
	case <-time.After(Stuck):
		c.t.Fatalf("stuck: the child printed nothing for %v\n%s", Stuck, c.errs.String())
	}
	return ""
}

// Lines returns what the child prints, line by line, until it ends.
func (c *Child) Lines() <-chan string { return c.lines }

// Expect fails the test unless the child's next line is want.
func (c *Child) Expect(want string) {
	c.t.Helper()
	if got := c.Line(); got != want {
		c.t.Fatalf("the child printed %q, want %q\n%s", got, want, c.errs.String())
	}
}

// Silent reports whether the child prints nothing for d. What it does print is
// logged.
func (c *Child) Silent(d time.Duration) bool {
	c.t.Helper()
	select {
	case line, ok := <-c.lines:
		if ok {
			c.t.Logf("the child printed %q", line)
		} else {
			c.Wait()
			c.t.Logf("the child ended: %v\n%s", c.err, c.errs.String())
		}
		return false
	case <-time.After(d):
		return true
	}
}

// Go lets a child go on that waits in Gate.
func (c *Child) Go() {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, "\n"); err != nil {
		c.t.Fatal(err)
	}
}

// Wait waits for the child's end and returns its error.
func (c *Child) Wait() error {
	c.once.Do(func() {
		for range c.lines { // to its end, before Wait closes the pipe
		}
		c.err = c.Cmd.Wait()
	})
	return c.err
}

// Errors returns what a child that has ended wrote to its standard error.
func (c *Child) Errors() string { return c.errs.String() }

// Kill kills the child with SIGKILL and reaps it.
func (c *Child) Kill() {
	c.t.Helper()
	if err := c.Cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.Wait()
}

// Done fails the test unless the child ends well.
func (c *Child) Done() {
	c.t.Helper()
	if err := c.Wait(); err != nil {
		c.t.Fatalf("the child failed: %v\n%s", err, c.errs.String())
	}
}

var stdin = bufio.NewReader(os.Stdin)

// Gate waits in a child until the test calls Go. It ends the child when the
// test is gone.
func Gate() {
	if _, err := stdin.ReadString('\n'); err != nil {
		os.Exit(2)
	}
}

// Say prints a line for the test.
func Say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
