// Package worker starts processes of this very command that do a part of a test, and
// is what runs in them.
//
// A worker reads what it is to do from its standard input, and ends when that is
// closed: none outlives the process that started it.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Task is what a worker is to do, as its parameters, and how it says that it is ready.
type Task struct {
	Name string
	Spec json.RawMessage
}

// Func does a task. It may read more from its input, and writes what its parent is to
// know to its output.
type Func func(ctx context.Context, spec json.RawMessage, in io.Reader, out io.Writer) error

// Main runs in a worker: it reads a task from stdin and does it.
func Main(tasks map[string]Func, stdin io.Reader, stdout io.Writer) error {
	in := json.NewDecoder(stdin)
	var t Task
	if err := in.Decode(&t); err != nil {
		return fmt.Errorf("a worker is started by other subcommands: %w", err)
	}
	f := tasks[t.Name]
	if f == nil {
		return fmt.Errorf("there is no task %q", t.Name)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	rest, parent := io.Pipe()
	go func() {
		_, err := io.Copy(parent, io.MultiReader(in.Buffered(), stdin))
		parent.CloseWithError(err)
		cancel(errors.New("the parent is gone"))
	}()
	return f(ctx, t.Spec, rest, stdout)
}

// Process is a started worker.
type Process struct {
	Out io.Reader // what it writes

	cmd   *exec.Cmd
	stdin io.WriteCloser
	errs  tail
	once  sync.Once
	err   error
}

// Start starts a worker. The caller owes a call of Wait or Kill.
func Start(command []string, name string, spec any) (*Process, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	task, err := json.Marshal(Task{Name: name, Spec: text})
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(command[0], command[1:]...)}
	p.cmd.Stderr = &p.errs
	p.cmd.WaitDelay = time.Second
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.Out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	apart(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := p.stdin.Write(task); err != nil { // no newline: that would be the first line to be told
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// PID is the worker's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Tell writes a line to the worker.
func (p *Process) Tell(line string) error {
	_, err := fmt.Fprintln(p.stdin, line)
	return err
}

// Wait waits until the worker has ended by itself. What it wrote must have been read
// before. The error has what it wrote to its standard error.
func (p *Process) Wait() error {
	p.once.Do(func() {
		if p.err = p.cmd.Wait(); p.err != nil {
			p.err = fmt.Errorf("worker: %w: %s", p.err, p.errs.text())
		}
		p.stdin.Close()
	})
	return p.err
}

// Dismiss lets the worker end, and waits for that as long as it may take.
func (p *Process) Dismiss(within time.Duration) error {
	p.stdin.Close()
	kill := time.AfterFunc(within, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	return p.Wait()
}

// Kill kills the worker and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = p.Wait()
	return nil
}

// tail keeps the last of what was written.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const tailSize = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if extra := len(t.last) - tailSize; extra > 0 {
		t.last = t.last[extra:]
	}
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}
