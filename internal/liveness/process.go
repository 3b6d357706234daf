package liveness

// Process is what the process table says of a ticket's owner.
type Process int

const (
	// ProcessUnknown: the table could not be asked, or tells of other pids.
	ProcessUnknown Process = iota
	// ProcessRuns: a process with that pid and that start runs.
	ProcessRuns
	// ProcessStopped: it runs no more until somebody lets it go on (state T, t).
	ProcessStopped
	// ProcessGone: no process has that pid.
	ProcessGone
	// ProcessZombie: it has ended and waits to be reaped.
	ProcessZombie
	// ProcessOther: the pid is another process's by now.
	ProcessOther
	// ProcessHidden: some process has that pid, and nothing more can be learnt
	// of it: it may have ended unreaped, or be another one by now.
	ProcessHidden
)

// Description is what a process is and whose, for display: what cannot be learnt is
// "".
type Description struct {
	Program string // the first word of the command line
	Command string // all of it
	User    string
}
