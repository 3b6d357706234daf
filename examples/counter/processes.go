package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// runAll starts the processes, lets them go at the same moment, and returns how
// long they took until the last had ended.
func runAll(dir string) (time.Duration, error) {
	var group []*worker
	var errs []error
	for i := range *processes {
		w, err := startWorker(dir, string(rune('A'+i)))
		if err != nil {
			errs = append(errs, err)
			break
		}
		group = append(group, w)
	}
	began := time.Now()
	for _, w := range group {
		errs = append(errs, w.start.Close())
	}
	for _, w := range group {
		errs = append(errs, w.cmd.Wait())
	}
	return time.Since(began), errors.Join(errs...)
}

// worker is one process. It begins when start is closed.
type worker struct {
	cmd   *exec.Cmd
	start io.Closer
}

// startWorker runs this program again, and returns when the new process is ready.
func startWorker(dir, name string) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-letter", name, "-dir", dir,
		"-adds", strconv.Itoa(*adds), fmt.Sprintf("-unsafe=%t", *unsafe))
	cmd.Stderr = os.Stderr
	start, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("process %s did not start: %w", name, err), start.Close(), cmd.Wait())
	}
	return &worker{cmd, start}, nil
}
