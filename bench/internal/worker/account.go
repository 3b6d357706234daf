package worker

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// All of this is read from outside, so that a worker that waits goes on
// waiting.

// PID returns the worker's process id.
func (w *Worker) PID() int { return w.cmd.Process.Pid }

// CPU returns the time that the process has spent on a processor.
func (w *Worker) CPU() (time.Duration, error) {
	// The clock of another process: its id inverted, and CPUCLOCK_SCHED.
	clock := int32(^w.PID())<<3 | 2
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}

// Switches returns how often the process's threads have gone to sleep.
//
// One thread does not count: Go's monitor, which sleeps and wakes for as long
// as anything runs, and sees to the runtime alone. It is the first that the
// runtime starts.
func (w *Worker) Switches() (n int, err error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", w.PID()))
	if err != nil {
		return 0, err
	}
	monitor := 0
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return 0, err
		}
		if id != w.PID() && (monitor == 0 || id < monitor) {
			monitor = id
		}
	}
	for _, t := range tasks {
		if t.Name() == strconv.Itoa(monitor) {
			continue
		}
		s, err := w.status("/task/"+t.Name(), "voluntary_ctxt_switches:")
		if err != nil {
			return 0, err
		}
		n += s
	}
	return n, nil
}

// Threads returns how many threads the process has.
func (w *Worker) Threads() (int, error) { return w.status("", "Threads:") }

// Descriptors returns how many files the process has open.
func (w *Worker) Descriptors() (int, error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.PID()))
	return len(fds), err
}

// Resident returns the process's resident memory that is its own, in bytes.
func (w *Worker) Resident() (int, error) {
	kb, err := w.status("", "RssAnon:")
	return kb << 10, err
}

func (w *Worker) status(of, field string) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d%s/status", w.PID(), of))
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if f := bytes.Fields(lines.Bytes()); len(f) >= 2 && string(f[0]) == field {
			return strconv.Atoi(string(f[1]))
		}
	}
	return 0, fmt.Errorf("no %s in the status of process %d", field, w.PID())
}

// Sum adds up an account of all workers.
func Sum[T int | time.Duration](ws []*Worker, of func(*Worker) (T, error)) (sum T, err error) {
	for _, w := range ws {
		v, err := of(w)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}
