package cli

import (
	"os"
	"slices"
	"strings"
)

// Variables of the command's environment. With several targets, each has one a line.
const (
	envTarget = "FILELOCK_TARGET" // the target's path, absolute, or its URL
	envTicket = "FILELOCK_TICKET" // the path of its ticket, or what the lock service has for that
	envToken  = "FILELOCK_TOKEN"  // the fencing token, with --fencing or of a lock service
	envHeld   = "FILELOCK_HELD"   // the tickets of all runs around the command, the innermost first
	envHolder = "FILELOCK_HOLDER" // the processes that "filelock hold" started
)

// variables are what the command is told of the locks that h holds, in the order of
// their names.
func (h *held) variables(tickets []string) []variable {
	targets := make([]string, len(h.locks))
	for i, l := range h.locks {
		targets[i] = l.name()
	}
	return []variable{
		{envHeld, strings.Join(slices.Concat(tickets, heldAround()), "\n")},
		{envTarget, strings.Join(targets, "\n")},
		{envTicket, strings.Join(tickets, "\n")},
		{envToken, strings.Join(h.tokens(), "\n")},
	}
}

// variable is one of the environment. One that is empty is not there.
type variable struct{ name, value string }

// withVariables returns env with some variables set. A variable that is there is
// replaced: programs disagree on which of two counts.
func withVariables(env []string, set []variable) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(set, func(v variable) bool { return v.name == name })
	})
	for _, v := range set {
		if v.value != "" {
			env = append(env, v.name+"="+v.value)
		}
	}
	return env
}

// heldAround are the tickets of the runs around this process, as its environment has
// them. They may be gone by now.
func heldAround() []string {
	return lines(os.Getenv(envHeld))
}
