package cli

import (
	"os"
	"os/exec"
	"syscall"
)

// forwarded are the console's events: interrupt, and its closing.
var forwarded = []os.Signal{os.Interrupt, syscall.SIGTERM}

// fromTerminal reports true: the console tells all its processes by itself, and
// there is no way to pass an event on to one.
func fromTerminal(os.Signal) bool { return true }

func signalName(s os.Signal) string { return s.String() }

func signalNumber(s os.Signal) int { return int(s.(syscall.Signal)) }

func exitStatus(p *os.ProcessState) int { return p.ExitCode() }

// shell runs the command as it stands: cmd.exe has quoting rules of its own.
func shell(command string) *exec.Cmd {
	cmd := exec.Command("cmd")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd /S /C "` + command + `"`}
	return cmd
}

// bequeath does nothing: there is no witness here.
func bequeath(*os.File) (drop func(), err error) { return func() {}, nil }
