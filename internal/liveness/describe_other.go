//go:build !linux

package liveness

import "github.com/shirou/gopsutil/v3/process"

// Describe returns a process's command line and user, for display: what cannot
// be learnt is "".
func Describe(pid int) (command, user string) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return "", ""
	}
	command, _ = p.Cmdline()
	user, _ = p.Username()
	return command, user
}

// Opener knows no way here to find who has a file open.
func Opener(string) (pid int) { return 0 }

// LetGo is false: it cannot be seen.
func LetGo(int, string) bool { return false }
