package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Worker is one process, as its parent sees it.
type Worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
	nextJob int
	dead    bool
}

func startWorker(page, ringIn, ringOut *os.File) (*Worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &Worker{cmd: exec.Command(self)}
	w.cmd.Env = append(os.Environ(), childEnv+"=1")
	w.cmd.Stderr = os.Stderr
	w.cmd.ExtraFiles = []*os.File{page, ringIn, ringOut}
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = json.NewDecoder(out)
	return w, w.cmd.Start()
}

// Job is something that a worker was told to do.
type Job struct {
	w  *Worker
	id int
}

// Loop starts a job; its result is a LoopResult.
func (w *Worker) Loop(l Loop) (*Job, error) { return w.job(command{Loop: &l}) }

// Once starts a job; its result is a []Passage.
func (w *Worker) Once(o Once) (*Job, error) { return w.job(command{Once: &o}) }

// Hold starts a job; its result is a Passage.
func (w *Worker) Hold(h Hold) (*Job, error) { return w.job(command{Hold: &h}) }

// Ring starts a job; its result is a RingResult.
func (w *Worker) Ring(r Ring) (*Job, error) { return w.job(command{Ring: &r}) }

func (w *Worker) job(c command) (*Job, error) {
	w.nextJob++
	c.Job = w.nextJob
	return &Job{w, c.Job}, w.send(c)
}

// Release has a Hold release.
func (j *Job) Release() error { return j.w.send(command{Job: j.id, Release: true}) }

// Cancel cancels the job's context.
func (j *Job) Cancel() error { return j.w.send(command{Job: j.id, Cancel: true}) }

// Report waits for the job to end and stores its result.
func (j *Job) Report(result any) error { return j.w.ask(command{Job: j.id, Report: true}, result) }

// Memory asks the worker what it takes.
func (w *Worker) Memory() (m Memory, err error) {
	err = w.ask(command{Memory: true}, &m)
	return m, err
}

func (w *Worker) send(c command) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = w.in.Write(append(line, '\n'))
	return err
}

func (w *Worker) ask(c command, result any) error {
	if err := w.send(c); err != nil {
		return err
	}
	// What has not come by then never will.
	watchdog := time.AfterFunc(time.Minute, func() { w.cmd.Process.Kill() })
	defer watchdog.Stop()
	var r reply
	if err := w.out.Decode(&r); err != nil {
		return fmt.Errorf("no answer from a worker: %w", err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	return json.Unmarshal(r.Result, result)
}

// Kill sends SIGKILL and returns when that was. The process is reaped at once.
func (w *Worker) Kill() (time.Time, error) {
	at := time.Now()
	if err := w.cmd.Process.Kill(); err != nil {
		return at, err
	}
	w.dead = true
	w.cmd.Wait() // says that it was killed
	return at, nil
}

func (w *Worker) end() error {
	if w.dead {
		return nil
	}
	if err := w.in.Close(); err != nil {
		return err
	}
	return w.cmd.Wait()
}
