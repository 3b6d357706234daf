package cli

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// forwarded are the console's events: interrupt, and its closing.
var forwarded = []os.Signal{os.Interrupt, syscall.SIGTERM}

// forward does nothing: the console tells all its processes by itself, and there is no
// way to pass an event on to one.
func forward(*exec.Cmd, os.Signal) {}

func signalName(s os.Signal) string { return s.String() }

func signalNumber(s os.Signal) int { return int(s.(syscall.Signal)) }

// shellCommand is the command line for a string.
func shellCommand(text string) []string { return []string{"cmd", "/S", "/C", text} }

// newCommand has cmd.exe get its string as it stands: it has quoting rules of its own.
func (r *run) newCommand() *exec.Cmd {
	argv := r.argv()
	cmd := exec.Command(argv[0], argv[1:]...)
	if r.flags.useShell {
		cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: strings.Join(argv[:3], " ") + ` "` + argv[3] + `"`}
	}
	return cmd
}
