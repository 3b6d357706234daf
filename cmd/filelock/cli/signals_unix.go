//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// harmless is a signal that nobody is ended by, nor told of.
const harmless = unix.SIGURG

// endings are the signals by which people and systems end a process.
var endings = []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM}

// notify begins to receive the signals that are passed on. Those that were ignored
// when this process began stay so, as under nohup(1), for it and for the command;
// those that were blocked stay pending, for whoever unblocks them.
func notify() *signals {
	d := inherited()
	s := &signals{c: make(chan os.Signal, 64)}
	for _, sig := range forwarded {
		switch {
		case d.ignored.has(sig):
			signal.Ignore(sig)
		case !d.blocked.has(sig):
			signal.Notify(s.c, sig)
		}
	}
	// An output that nobody reads is an error here, and no death. As it is caught
	// and not ignored, the command starts with what was there before.
	if d.ignored.has(unix.SIGPIPE) {
		signal.Ignore(unix.SIGPIPE)
	} else {
		signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	}
	return s
}

// fatal reports whether a signal of forwarded ends a process that does nothing
// about it.
func fatal(s os.Signal) bool { return s != unix.SIGWINCH }

// forJob reports whether a signal is meant for a whole job: those that the keyboard
// and a closing terminal send, and what ends processes. They go to the command's
// process group, as they would without filelock if they are sent to a group. Others
// are for whom they are sent to, and go to the command alone.
func forJob(s os.Signal) bool {
	switch s {
	case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGTSTP, unix.SIGCONT:
		return true
	}
	return false
}

func signalName(s os.Signal) string {
	if sig, ok := s.(syscall.Signal); ok {
		return nameOf(sig)
	}
	return s.String()
}

func signalNumber(s os.Signal) int { return int(s.(syscall.Signal)) }
