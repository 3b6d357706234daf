package filelock

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/turn"
)

// State says what is known of a ticket's owner.
type State int

const (
	// Unknown: there is no proof either way. It counts as alive.
	Unknown State = iota
	// Alive: the owner lives, and waits or cannot be told to be inside.
	Alive
	// Inside: the owner, or a process that inherited the lock from it, holds it.
	// It is told on local filesystems of Linux only.
	Inside
	// Resting: nobody holds the lock with this ticket. Its owner has given the lock
	// back and may come back for it; see WithLinger. It is in nobody's way.
	Resting
	// Stalled: the owner lives but does not take its turn: it is stopped, say.
	// Others pass it by, and it starts anew when it goes on.
	Stalled
	// Dead: there is proof that the owner does not live.
	Dead
)

var stateNames = map[State]string{Unknown: "unknown", Alive: "alive", Inside: "inside", Resting: "resting", Stalled: "stalled", Dead: "dead"}

func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Ticket is one contender in a queue, as its file's name and a look at its
// owner tell.
type Ticket struct {
	Path string // of the ticket's file
	Host string // as the owner wrote it, whatever that is: quote it, as String does
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

	// Guarded: the kernel tells whether the owner is inside, and nobody can remove its
	// ticket while it is: it is Inside, or it is not inside. It is so on local
	// filesystems of Linux only, and only where the ticket may be read.
	Guarded bool

	// Heir is a process that has inherited the lock, where the owner is gone and
	// that one can be seen: from Inspect only.
	Heir int
	// Command and User are the owner's, or the heir's, for display: from Inspect
	// only, and only where its process can be seen from this one.
	Command string
	User    string

	self      bool
	reachable bool   // the owner's pid means the same to this process
	start     uint64 // of the owner, as its ticket has it
}

func newTicket(c turn.Contender) Ticket {
	return Ticket{
		Path: c.ID, Host: c.Host, PID: c.PID, Queued: c.Queued, Shared: c.Shared, Lease: c.Lease, Plain: c.Plain,
		State: states[c.State], Reason: c.Reason, Guarded: c.Guarded,
		self: c.Self, reachable: c.Reachable && c.State != turn.Dead, start: c.Start,
	}
}

var states = map[turn.State]State{
	turn.Alive: Alive, turn.Inside: Inside, turn.Resting: Resting, turn.Stalled: Stalled, turn.Dead: Dead,
}

// String describes the ticket in a few words.
func (t Ticket) String() string {
	who := fmt.Sprintf("%s pid %d", quote(t.Host), t.PID)
	if t.self {
		who = "this process"
	}
	at := ""
	switch {
	case t.State == Unknown:
		at = ", ticket " + quote(t.Path)
	case t.Heir != 0:
		at = fmt.Sprintf("; the heir is pid %d", t.Heir)
	}
	return fmt.Sprintf("%s, queued since %s (%s: %s%s)", who, t.Queued.Format(stamp(t.Queued)), t.State, escape(t.Reason), at)
}

// MarshalJSON writes what is known of the ticket, with its lease as text.
func (t Ticket) MarshalJSON() ([]byte, error) {
	lease := ""
	if t.Lease > 0 {
		lease = t.Lease.String()
	}
	return json.Marshal(struct {
		Path    string    `json:"path"`
		Host    string    `json:"host"`
		PID     int       `json:"pid"`
		Queued  time.Time `json:"queued"`
		Shared  bool      `json:"shared,omitempty"`
		Lease   string    `json:"lease,omitempty"`
		Plain   bool      `json:"plain,omitempty"`
		State   State     `json:"state"`
		Reason  string    `json:"reason"`
		Guarded bool      `json:"guarded,omitempty"`
		Heir    int       `json:"heir,omitempty"`
		Command string    `json:"command,omitempty"`
		User    string    `json:"user,omitempty"`
	}{t.Path, t.Host, t.PID, t.Queued, t.Shared, lease, t.Plain, t.State, t.Reason, t.Guarded, t.Heir, t.Command, t.User})
}

// stamp is the layout for a time, short for one of today.
func stamp(t time.Time) string {
	if t.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return time.TimeOnly
	}
	return time.DateTime
}

// fillProcess adds what the process table has for display. Whatever cannot be
// learnt stays empty.
func (t *Ticket) fillProcess() {
	// The owner may have left its lock to an heir, and its pid to a stranger.
	if !t.reachable {
		return
	}
	switch liveness.Ask(t.PID, t.start) {
	case liveness.ProcessRuns, liveness.ProcessStopped:
		t.Command, t.User = liveness.Describe(t.PID)
	case liveness.ProcessGone, liveness.ProcessZombie, liveness.ProcessOther:
		if t.State != Inside {
			return
		}
		if t.Heir = liveness.Opener(t.Path); t.Heir != 0 {
			t.Command, t.User = liveness.Describe(t.Heir)
		}
	}
}
