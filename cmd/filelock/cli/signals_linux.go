package cli

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Real-time signals as programs see them: the C library keeps the first two of the
// kernel's. The Go runtime leaves the next one alone, for the C library musl.
const (
	minRealTime  = syscall.Signal(34)
	maxRealTime  = syscall.Signal(64)
	minForwarded = minRealTime + 1
)

// forwarded are the signals that are passed on to the command: all but those that
// cannot be caught, those that faults cause, those of job control (which have their
// own way), CHLD and PIPE, which are about this process, and URG and PROF, which the
// Go runtime sends to itself.
var forwarded = append([]syscall.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGALRM, unix.SIGTERM,
	unix.SIGUSR1, unix.SIGUSR2, unix.SIGIO, unix.SIGPWR, unix.SIGVTALRM, unix.SIGWINCH,
	unix.SIGXCPU, unix.SIGXFSZ,
}, realTime()...)

func realTime() (all []syscall.Signal) {
	for sig := minForwarded; sig <= maxRealTime; sig++ {
		all = append(all, sig)
	}
	return all
}

func nameOf(sig syscall.Signal) string {
	switch name := unix.SignalName(sig); {
	case name != "":
		return name
	case sig == minRealTime:
		return "SIGRTMIN"
	case sig > minRealTime && sig <= maxRealTime:
		return fmt.Sprintf("SIGRTMIN+%d", sig-minRealTime)
	default:
		return fmt.Sprintf("signal %d", int(sig))
	}
}
