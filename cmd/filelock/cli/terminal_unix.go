//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminal is the controlling terminal, from which the job of this process may have
// been started.
type terminal struct {
	fd  int // -1: there is none
	own int // the process group of this process
}

func openTerminal() *terminal {
	// Not blocking: an open of a terminal may wait for its line.
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	return &terminal{fd: fd, own: unix.Getpgrp()}
}

func (t *terminal) close() {
	if t.fd >= 0 {
		unix.Close(t.fd)
	}
}

// foreground returns the terminal's foreground process group, or 0.
func (t *terminal) foreground() int {
	if t.fd < 0 {
		return 0
	}
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil {
		return 0
	}
	return group
}

// ours reports whether this process belongs to the foreground.
func (t *terminal) ours() bool { return t.foreground() == t.own }

// give makes another process group the foreground.
func (t *terminal) give(group int) bool { return t.fd >= 0 && setForeground(t.fd, group) == nil }

// controls reports whether f is the controlling terminal of this process.
func controls(f *os.File) bool {
	_, err := unix.IoctlGetInt(fdOf(f), unix.TIOCGPGRP)
	return err == nil
}

// fdOf is f.Fd, which would make f blocking for all who share it.
func fdOf(f *os.File) (fd int) {
	fd = -1
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(fdOf(f), unix.TIOCGWINSZ)
	return err == nil
}

// columns is the width of a terminal, or 0.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(fdOf(f), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// inForeground reports whether this process is in its terminal's foreground.
func inForeground() bool {
	t := openTerminal()
	defer t.close()
	return t.ours()
}
