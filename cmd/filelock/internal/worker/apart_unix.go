//go:build unix

package worker

import (
	"os/exec"
	"syscall"
)

// apart keeps the terminal's signals from a worker: it ends when its parent says so.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
