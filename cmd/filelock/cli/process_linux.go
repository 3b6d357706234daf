package cli

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// watchProcess returns a channel that is closed when the process has ended.
func watchProcess(pid int) (<-chan struct{}, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		ended := make(chan struct{})
		close(ended)
		return ended, nil
	}
	if err != nil {
		return pollProcess(pid), nil // a kernel before 5.3, or a sandbox
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer unix.Close(fd)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if err != unix.EINTR {
				return
			}
		}
	}()
	return ended, nil
}

// callingScript is the process of the shell that called this one. It is the parent or,
// where that is a subshell, the shell that this was forked from: what was not executed
// anew has the same random place in memory.
func callingScript() int {
	pid := os.Getppid()
	for {
		parent, err := parentOf(pid)
		if err != nil || parent <= 1 {
			return pid
		}
		one, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
		if err != nil || len(one) == 0 {
			return pid
		}
		if other, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", parent)); err != nil || !bytes.Equal(one, other) {
			return pid
		}
		pid = parent
	}
}

func parentOf(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(status, []byte("\nPPid:"))
	if !ok {
		return 0, fmt.Errorf("process %d has no parent", pid)
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.Atoi(string(bytes.TrimSpace(line)))
}
