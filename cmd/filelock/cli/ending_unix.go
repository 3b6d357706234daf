//go:build unix && (!linux || mips || mipsle || mips64 || mips64le)

package cli

import (
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// endBy ends this process by sig, where the Go runtime does that for a signal that
// is not asked for. It returns if not.
func endBy(sig syscall.Signal) {
	switch sig {
	case unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGKILL:
		signal.Reset(sig)
		_ = unix.Kill(unix.Getpid(), sig)
		// It comes to one of the threads, in a moment.
		select {}
	}
}

// letSignalsEnd would give the signals that are passed on their default effect in the
// kernel itself.
func letSignalsEnd() {}

// withDefault calls fn with a signal that stops this process. The Go runtime has no
// way to give sig its default effect, so that it is the one that cannot be caught.
func withDefault(_ syscall.Signal, fn func(syscall.Signal)) { fn(unix.SIGSTOP) }

// setForeground makes a process group the terminal's foreground, also from the
// background, where the kernel would stop this process for it.
func setForeground(tty, group int) error {
	signal.Ignore(unix.SIGTTOU)
	defer signal.Reset(unix.SIGTTOU)
	return unix.IoctlSetPointerInt(tty, unix.TIOCSPGRP, group)
}
