package cli

import (
	"os"
	"slices"
	"strings"

	"github.com/filelock-go/filelock"
)

// Variables of the command's environment. With several targets, each has one a line.
const (
	envTarget = "FILELOCK_TARGET" // the target's path, absolute
	envTicket = "FILELOCK_TICKET" // the path of its ticket
	envToken  = "FILELOCK_TOKEN"  // the fencing token, with --fencing
	envHeld   = "FILELOCK_HELD"   // the tickets of all runs around the command, the innermost first
	envHolder = "FILELOCK_HOLDER" // the processes that "filelock hold" started
)

// environment is that of the command: this one's, and what is said of the lock.
func environment(locks []*filelock.FileLock, tickets []string) []string {
	targets := make([]string, len(locks))
	for i, l := range locks {
		targets[i] = l.Path()
	}
	held := slices.Concat(tickets, heldAround())
	return withVariables(os.Environ(), map[string]string{
		envTarget: strings.Join(targets, "\n"),
		envTicket: strings.Join(tickets, "\n"),
		envHeld:   strings.Join(held, "\n"),
	})
}

// withVariables returns env with some variables set. A variable that is there is
// replaced: programs disagree on which of two counts.
func withVariables(env []string, set map[string]string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, replaced := set[name]
		return replaced
	})
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	return env
}

// heldAround are the tickets of the runs around this process, as its environment has
// them. They may be gone by now.
func heldAround() []string {
	return lines(os.Getenv(envHeld))
}
