// Package worker runs parts of a benchmark in processes of their own.
//
// The program starts itself again. Such a worker takes commands, one JSON
// object a line, on its standard input; it answers those that ask for an
// answer, likewise, on its standard output. All workers of a fleet share one
// page of memory.
package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// childEnv marks a process as a worker.
const childEnv = "FILELOCK_BENCH_WORKER"

// Descriptors that a worker inherits.
const (
	pageFD = 3 + iota
	ringInFD
	ringOutFD
)

// Main does a worker's work and ends the process, if it is one. It is to be
// the first thing that main, or TestMain, does.
func Main() {
	if os.Getenv(childEnv) == "" {
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// command is one line to a worker. Exactly one of the fields after Job is set.
type command struct {
	Job int `json:"job"`

	Loop *Loop `json:"loop,omitempty"` // start
	Once *Once `json:"once,omitempty"` // start
	Hold *Hold `json:"hold,omitempty"` // start
	Ring *Ring `json:"ring,omitempty"` // start

	Release bool `json:"release,omitempty"` // have a Hold release
	Cancel  bool `json:"cancel,omitempty"`  // cancel the job's context
	Report  bool `json:"report,omitempty"`  // wait for the job, and answer with its result
	Memory  bool `json:"memory,omitempty"`  // answer with Memory
}

// reply is one line from a worker.
type reply struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// job is something a worker does meanwhile.
type job struct {
	cancel  context.CancelFunc
	release chan struct{}
	done    chan struct{}
	result  any
	err     error
}

type server struct {
	page    *Page
	jobs    map[int]*job
	handles handles
}

func serve(in io.Reader, out io.Writer) error {
	page, err := mapPage(pageFD)
	if err != nil {
		return err
	}
	time.Sleep(time.Microsecond) // starts Go's poller, so that no rival is charged for it
	s := &server{page: page, jobs: map[int]*job{}}
	lines := bufio.NewReader(in)
	answers := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var c command
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		answer, asked := s.do(c)
		if !asked {
			continue
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

func (s *server) do(c command) (answer reply, asked bool) {
	switch {
	case c.Loop != nil:
		s.start(c.Job, func(ctx context.Context, _ *job) (any, error) { return s.loop(ctx, *c.Loop) })
	case c.Once != nil:
		s.start(c.Job, func(ctx context.Context, _ *job) (any, error) { return s.once(ctx, *c.Once) })
	case c.Hold != nil:
		s.start(c.Job, func(ctx context.Context, j *job) (any, error) { return s.hold(ctx, *c.Hold, j.release) })
	case c.Ring != nil:
		s.start(c.Job, func(context.Context, *job) (any, error) { return c.Ring.run() })
	case c.Release:
		close(s.jobs[c.Job].release)
	case c.Cancel:
		s.jobs[c.Job].cancel()
	case c.Report:
		j := s.jobs[c.Job]
		<-j.done
		delete(s.jobs, c.Job)
		return answerOf(j.result, j.err), true
	case c.Memory:
		return answerOf(memory(), nil), true
	}
	return reply{}, false
}

func (s *server) start(id int, run func(context.Context, *job) (any, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	j := &job{cancel: cancel, release: make(chan struct{}), done: make(chan struct{})}
	s.jobs[id] = j
	go func() {
		defer close(j.done)
		defer cancel()
		j.result, j.err = run(ctx, j)
	}()
}

func answerOf(result any, err error) reply {
	if err != nil {
		return reply{Error: err.Error()}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return reply{Error: err.Error()}
	}
	return reply{Result: text}
}

// each runs f(0) to f(n-1) at once, each in its goroutine, and returns the
// first error.
func each(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
