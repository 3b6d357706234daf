//go:build !unix && !windows

package cli

import (
	"os"
	"os/exec"
)

var forwarded = []os.Signal{os.Interrupt}

func forward(cmd *exec.Cmd, s os.Signal) { _ = cmd.Process.Signal(s) }

func signalName(s os.Signal) string { return s.String() }

// signalNumber is that of an interrupt on other systems: signals have none here.
func signalNumber(os.Signal) int { return 2 }

// shellCommand is the command line for a string.
func shellCommand(text string) []string { return []string{"sh", "-c", text} }

func (r *run) newCommand() *exec.Cmd {
	argv := r.argv()
	return exec.Command(argv[0], argv[1:]...)
}
