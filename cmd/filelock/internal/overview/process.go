package overview

import (
	"time"

	"github.com/shirou/gopsutil/v3/process"
)

// Process is what the system says of a process, for display: what cannot be learnt is
// missing.
type Process struct {
	PID      int       `json:"pid"` // the heir's, where there is one
	Parent   int       `json:"parent,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Status   string    `json:"status,omitempty"`
	Terminal string    `json:"terminal,omitempty"`
	Dir      string    `json:"dir,omitempty"` // its working directory
}

func newProcess(pid int) *Process {
	p := &Process{PID: pid}
	seen, err := process.NewProcess(int32(pid))
	if err != nil {
		return p
	}
	if parent, err := seen.Ppid(); err == nil {
		p.Parent = int(parent)
	}
	if at, err := seen.CreateTime(); err == nil && at > 0 {
		p.Started = time.UnixMilli(at)
	}
	if status, err := seen.Status(); err == nil && len(status) > 0 {
		p.Status = status[0]
	}
	if tty, err := seen.Terminal(); err == nil {
		p.Terminal = tty
	}
	if dir, err := seen.Cwd(); err == nil {
		p.Dir = dir
	}
	return p
}
