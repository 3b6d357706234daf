//go:build !linux

package liveness

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/process"
)

func (id *Identity) fill() error {
	machine, err := host.HostIDWithContext(context.Background())
	switch {
	case err == nil:
	case !knownSystem():
		return fmt.Errorf("%w on %s, where no death of a process could be seen: %w", errors.ErrUnsupported, runtime.GOOS, err)
	default:
		return err
	}
	if machine == "" {
		return nil
	}
	// There is no boot id to be had everywhere, so pids are compared by
	// machine; a reused pid shows by its start where starts can be compared.
	// Cloned machines can have one id; their names tend to differ.
	id.PIDSpace = pidSpace(machine+"\x00"+id.RawHost, 0)
	id.InitialPIDs = true
	id.Start = startOf(id.PID)
	return nil
}

// knownSystem reports whether gopsutil can tell machines and processes apart here.
func knownSystem() bool {
	switch runtime.GOOS {
	case "darwin", "freebsd", "illumos", "netbsd", "openbsd", "solaris", "windows":
		return true
	default:
		return false
	}
}

// startOf returns the process's start where the system stores it at the fork,
// so that it stays the same number when the wall clock is stepped. FreeBSD
// adds the boot time when asked, and its answers move with the clock.
func startOf(pid int) uint64 {
	switch runtime.GOOS {
	case "darwin", "windows", "netbsd", "openbsd":
	default:
		return 0
	}
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return 0
	}
	ms, err := p.CreateTime()
	if err != nil || ms <= 0 {
		return 0
	}
	return uint64(ms)
}
