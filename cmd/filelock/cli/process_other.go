//go:build !linux

package cli

import "os"

// watchProcess returns a channel that is closed when the process has ended.
func watchProcess(pid int) (<-chan struct{}, error) { return pollProcess(pid), nil }

// callingScript is the process of the shell that called this one, if that was no
// subshell: name it by --pid then.
func callingScript() int { return os.Getppid() }
