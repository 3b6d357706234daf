//go:build unix && !linux

package cli

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const minRealTime = syscall.Signal(128) // none are known here

// forwarded are the signals that are passed on to the command.
var forwarded = []syscall.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGALRM, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH,
}

func nameOf(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return sig.String()
}
