package cli

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

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

// callingScript is the process of the shell that called this one: the one that reads
// what this one prints, or else the parent, which may be a timeout(1) that ends with this
// one. Where that is a subshell, it is the shell that this was forked from: what was not
// executed anew has the same random place in memory.
func callingScript() int {
	pid := os.Getppid()
	if reader, ok := outputsReader(pid); ok {
		pid = reader
	}
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

// outputsReader looks among a process and those it descends from for the one that reads
// the pipe which is this process's standard output.
func outputsReader(pid int) (reader int, ok bool) {
	pipe, err := os.Readlink("/proc/self/fd/1")
	if err != nil || !strings.HasPrefix(pipe, "pipe:") {
		return 0, false
	}
	for ; err == nil && pid > 0; pid, err = parentOf(pid) {
		if reads(pid, pipe) {
			return pid, true
		}
	}
	return 0, false
}

// reads reports whether a process is seen to have a file open for reading.
func reads(pid int, file string) bool {
	fds := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, _ := os.ReadDir(fds)
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		const readable = 0o400 // as the link's permission tells
		to, err := os.Readlink(fds + e.Name())
		if err != nil || to != file {
			return false
		}
		info, err := os.Lstat(fds + e.Name())
		return err == nil && info.Mode().Perm()&readable != 0
	})
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
