//go:build unix && !linux

package liveness

import (
	"errors"
	"syscall"
)

// confirmGone asks once more: a process table may hide what lives.
func confirmGone(pid int) Process {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return ProcessGone
	}
	return ProcessRuns
}
