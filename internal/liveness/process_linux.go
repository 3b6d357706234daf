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

func readProc(pid int) (proc, error) { return readStat(fmt.Sprintf("/proc/%d/stat", pid)) }

// readStat reads one line. What is of use of it fits its buffer, however long the
// fields are.
func readStat(path string) (proc, error) {
	var buf [1024]byte
	line, err := readSmall(path, buf[:])
	if err != nil {
		return proc{}, err
	}
	p, ok := parseStat(line)
	if !ok {
		return proc{}, fmt.Errorf("liveness: %s is not understood", path)
	}
	return p, nil
}

// parseStat makes no string, nor anything else that needs memory.
func parseStat(line []byte) (p proc, ok bool) {
	pid, _, _ := bytes.Cut(line, []byte(" "))
	// The command name, in parentheses, may hold anything.
	_, rest, _ := bytes.Cut(line[bytes.LastIndexByte(line, ')')+1:], []byte(" "))
	for n := 3; len(rest) > 0; n++ {
		var field []byte
		switch field, rest, _ = bytes.Cut(rest, []byte(" ")); n {
		case 3:
			if len(field) != 1 {
				return proc{}, false
			}
			p.state = field[0]
		case 22:
			var err1, err2 error
			p.pid, err1 = strconv.Atoi(string(pid))
			p.start, err2 = strconv.ParseUint(string(field), 10, 64)
			return p, err1 == nil && err2 == nil
		}
	}
	return proc{}, false
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
		t, err := readStat(fmt.Sprintf("/proc/%d/task/%s/stat", p.pid, task.Name()))
		if err == nil && !dead(t.state) {
			return false
		}
	}
	return true
}

func dead(state byte) bool { return state == 'Z' || state == 'X' || state == 'x' }
