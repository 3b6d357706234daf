//go:build !linux

package liveness

import "github.com/shirou/gopsutil/v3/process"

// Ask returns what the process table says of pid, started at the given time
// (0: unknown).
func Ask(pid int, start uint64) Process {
	if pid > 1<<31-1 {
		return ProcessUnknown
	}
	exists, err := process.PidExists(int32(pid))
	switch {
	case err != nil:
		return ProcessUnknown
	case !exists:
		return confirmGone(pid)
	}
	if now := startOf(pid); start != 0 && now != 0 && now != start {
		return ProcessOther
	}
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return ProcessRuns // going this instant: in doubt, alive
	}
	if status, err := p.Status(); err == nil {
		for _, s := range status {
			switch s {
			case process.Zombie:
				return ProcessZombie
			case process.Stop:
				return ProcessStopped
			}
		}
	}
	return ProcessRuns
}
