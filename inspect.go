package filelock

import (
	"fmt"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// State says whether a ticket's owner lives.
type State int

const (
	// Unknown: there is no proof either way. It counts as alive.
	Unknown State = iota
	// Alive: there is proof that the owner lives.
	Alive
	// Dead: there is proof that it does not.
	Dead
)

func (s State) String() string { return liveness.State(s).String() }

// Ticket is one contender in a queue, as its file's name and a look at its
// owner tell.
type Ticket struct {
	Path string // of the ticket's file
	Host string // as the owner wrote it
	PID  int    // in the owner's pid namespace
	// Queued is the ticket's number: about the time its owner took its place,
	// by the clock of the filesystem, or later if that was needed to order it
	// behind the others.
	Queued time.Time
	Shared bool          // waits for exclusive tickets only
	Lease  time.Duration // 0 is none
	Plain  bool          // of a program that follows the plain rule
	State  State
	Reason string // why State is what it is
}

// String describes the ticket in a few words.
func (t Ticket) String() string {
	return fmt.Sprintf("%s pid %d since %s (%s: %s)", t.Host, t.PID, t.Queued.Format(stamp(t.Queued)), t.State, t.Reason)
}

// stamp is the layout for a time, short for one of today.
func stamp(t time.Time) string {
	if t.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return time.TimeOnly
	}
	return time.DateTime
}

// describe looks at one ticket. It reports false if the ticket is gone.
func describe(q ticketdir.Queue, t queue.Ticket) (Ticket, bool) {
	view, err := ticketdir.Open(q)
	if err != nil {
		return Ticket{}, false
	}
	defer view.Close()
	probe, err := view.Probe(t.Name)
	if err != nil {
		return Ticket{}, false
	}
	defer view.Release(&probe)
	name, _ := ticket.Parse(q.Prefix, t.Name)
	v := liveness.Self().Judge(liveness.Evidence{
		Name: name, Witness: probe.Witness, Place: probe.Place, OneKernel: probe.OneKernel,
	})
	return Ticket{
		Path: q.Dir + "/" + t.Name, Host: name.Host, PID: name.PID, Queued: t.Number.Time(),
		Shared: name.Shared, Lease: name.Lease, Plain: name.Plain,
		State: State(v.State), Reason: v.Reason,
	}, true
}
