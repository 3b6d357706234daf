//go:build unix

package cli

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded are the signals that people and supervisors send. Not among them
// are those about this process itself (CHLD, PIPE, the faults), those of job
// control, which reach the command as a member of the same job, and the noise
// (URG, WINCH, IO).
var forwarded = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGALRM, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
}

// fromTerminal reports whether a signal comes from the keyboard as far as can
// be told: of a kind that the keyboard sends, while this process belongs to the
// terminal's foreground. The terminal sends such a signal to the command too,
// and to many a command a second one means "drop everything".
func fromTerminal(s os.Signal) bool {
	if s != unix.SIGINT && s != unix.SIGQUIT {
		return false
	}
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	foreground, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	if err != nil {
		return false
	}
	own, err := unix.Getpgid(0)
	return err == nil && foreground == own
}

func signalName(s os.Signal) string {
	if sig, ok := s.(syscall.Signal); ok {
		if name := unix.SignalName(sig); name != "" {
			return name
		}
	}
	return s.String()
}

func signalNumber(s os.Signal) int { return int(s.(syscall.Signal)) }

// exitStatus is a process's exit code as a shell gives it.
func exitStatus(p *os.ProcessState) int {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return p.ExitCode()
}

func shell(command string) *exec.Cmd { return exec.Command("sh", "-c", command) }

// firstWitness is above the descriptors that a shell script can name.
const firstWitness = 10

// bequeath has commands started from now on inherit file f, until drop.
//
// exec.Cmd.ExtraFiles would give it the number 3, also where the command
// inherits another file under that number, as in "filelock run ... 3>log". Then
// whatever the command writes there would land in the ticket, and writing
// changes its number in the queue. So the command gets it under a number that
// is free here, and therefore there too.
func bequeath(f *os.File) (drop func(), err error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, firstWitness)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return func() { unix.Close(fd) }, nil
}
