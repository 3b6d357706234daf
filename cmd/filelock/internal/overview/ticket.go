package overview

import (
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Phase says in one word where a contender is on its way.
type Phase string

const (
	// Inside: it holds the lock.
	Inside Phase = "inside"
	// Heir: its process is gone, and another one that inherited the lock holds it.
	Heir Phase = "heir"
	// First: nobody is ahead of it, so that it holds the lock or is about to; which of
	// both cannot be told on this filesystem.
	First Phase = "first"
	// Waiting: others are ahead of it, or it is its turn.
	Waiting Phase = "waiting"
	// Stopped: it is outside, and its process does not run until somebody lets it go on.
	Stopped Phase = "stopped"
	// Resting: it has given the lock back and keeps its ticket. It is in nobody's way.
	Resting Phase = "resting"
	// Gone: it is dead.
	Gone Phase = "gone"
)

// Ticket is one contender.
type Ticket struct {
	Position int       `json:"position"` // in the queue, from 1 on
	Phase    Phase     `json:"phase"`
	Kind     string    `json:"kind"` // "exclusive" or "shared"
	Host     string    `json:"host"`
	PID      int       `json:"pid"` // of who queued, in its pid namespace
	User     string    `json:"user,omitempty"`
	Command  string    `json:"command,omitempty"`
	Label    string    `json:"label,omitempty"` // what the owner says of itself
	Queued   time.Time `json:"queued"`
	Verdict  string    `json:"verdict"`
	Reason   string    `json:"reason"`
	// Guarded: the kernel tells who is inside, and keeps its ticket from being removed.
	Guarded bool     `json:"guarded"`
	Lease   string   `json:"lease,omitempty"`
	Plain   bool     `json:"plain,omitempty"` // of a program that follows the plain rule
	Stopped bool     `json:"stopped,omitempty"`
	Path    string   `json:"path"` // the ticket's file
	Process *Process `json:"process,omitempty"`
}

// newTicket describes a ticket. behind is whether others are ahead of it.
func newTicket(t filelock.Ticket, position int, behind bool) Ticket {
	s := Ticket{
		Position: position, Kind: "exclusive", Host: t.Host, PID: t.PID, User: t.User, Command: t.Command, Label: t.Label,
		Queued: ticket.JSONTime(t.Queued), Verdict: t.State.String(), Reason: t.Reason, Guarded: t.Guarded, Plain: t.Plain, Path: t.Path,
		Stopped: t.Stopped,
	}
	if t.Shared {
		s.Kind = "shared"
	}
	if t.Lease > 0 {
		s.Lease = t.Lease.String()
	}
	if seen := max(t.Heir, 0); seen > 0 {
		s.Process = newProcess(seen)
	} else if t.Command != "" || t.User != "" { // its pid means something here
		s.Process = newProcess(t.PID)
	}
	s.Phase = phase(t, behind)
	return s
}

func phase(t filelock.Ticket, behind bool) Phase {
	switch {
	case t.State == filelock.Dead:
		return Gone
	case t.State == filelock.Resting:
		return Resting
	case t.State == filelock.Inside && t.Inherited:
		return Heir
	case t.State == filelock.Inside:
		return Inside
	case !t.Guarded && !behind:
		return First
	case t.Stopped:
		return Stopped
	default:
		return Waiting
	}
}
