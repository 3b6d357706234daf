//go:build !unix && !windows

package cli

import (
	"os"
	"os/exec"
)

var forwarded = []os.Signal{os.Interrupt}

func fromTerminal(os.Signal) bool { return false }

func signalName(s os.Signal) string { return s.String() }

// signalNumber is that of an interrupt on other systems: signals have none here.
func signalNumber(os.Signal) int { return 2 }

func exitStatus(p *os.ProcessState) int { return p.ExitCode() }

func shell(command string) *exec.Cmd { return exec.Command("sh", "-c", command) }

// bequeath does nothing: there is no witness here.
func bequeath(*os.File) (drop func(), err error) { return func() {}, nil }
