package liveness

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"
)

// Ask returns what this pid namespace's process table says of pid, started at
// the given tick (0: unknown). It needs the ticket's owner to be of this pid
// namespace.
func Ask(pid int, start uint64) Process {
	// Signal 0 comes first because /proc may be mounted with hidepid, where a
	// live process of another user looks absent: EPERM says it lives.
	if pid <= 0 || pid > math.MaxInt32 {
		return ProcessUnknown // it would mean a process group to the kernel
	}
	switch err := syscall.Kill(pid, 0); {
	case errors.Is(err, syscall.ESRCH):
		return ProcessGone
	case err != nil && !errors.Is(err, syscall.EPERM):
		return ProcessUnknown
	}
	p, err := readProc(pid)
	switch {
	case err != nil:
		return ProcessHidden
	case start != 0 && p.start != start:
		return ProcessOther
	case p.ended():
		return ProcessZombie
	case p.state == 'T' || p.state == 't':
		return ProcessStopped
	default:
		return ProcessRuns
	}
}

// proc is one line of /proc/PID/stat.
type proc struct {
	pid   int
	state byte
	start uint64 // field 22: ticks since boot, which no clock step moves
}

func readProc(pid int) (proc, error) {
	return readStat(pid, fmt.Sprintf("/proc/%d/stat", pid))
}

func readStat(pid int, path string) (proc, error) {
	line, err := readSmall(path)
	if err != nil {
		return proc{}, err
	}
	// The command name, in parentheses, may hold anything.
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 20 || len(fields[0]) != 1 {
		return proc{}, fmt.Errorf("liveness: %s is not understood", path)
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return proc{}, fmt.Errorf("liveness: %s: %w", path, err)
	}
	return proc{pid: pid, state: fields[0][0], start: start}, nil
}

// ended reports whether no thread of the process runs any more. A process
// whose main thread has ended shows as a zombie while other threads go on.
func (p proc) ended() bool {
	if !dead(p.state) {
		return false
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	for _, task := range tasks {
		t, err := readStat(p.pid, fmt.Sprintf("/proc/%d/task/%s/stat", p.pid, task.Name()))
		if err == nil && !dead(t.state) {
			return false
		}
	}
	return true
}

func dead(state byte) bool { return state == 'Z' || state == 'X' || state == 'x' }
