package filelock

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/ticket"
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
	// It is told on local filesystems of Linux, and by engines, only.
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
	// FlockPeer: this is no ticket, but a program that has a flock on the file Path;
	// see WithFlockPeers. Its PID is 0 where it cannot be seen, and Queued is zero.
	FlockPeer bool
	State     State
	Reason    string // why State is what it is

	// Label is what the owner says of itself, see WithLabel: "" if it says nothing, or
	// that cannot be seen here. It is no proof of anything, and may have any bytes in
	// it: quote it, as String does.
	Label string
	// Stopped: the owner's process does not run until somebody lets it go on. It is
	// told where Command may be told.
	Stopped bool

	// Guarded: the kernel tells whether the owner is inside, and nobody can remove its
	// ticket while it is: it is Inside, or it is not inside. It is so on local
	// filesystems of Linux only, and only where the ticket may be read.
	Guarded bool

	// Inherited: the owner's process is gone, or has bequeathed the lock, and one that
	// inherited it is inside. It is told where Command may be told; of who lives on, by
	// Inspect and, where others may remove the ticket (see Bequeath), in a Wait.
	Inherited bool
	// Heir is a process that has inherited the lock, if it can be seen: from
	// Inspect, and in a Wait.
	Heir int
	// Command and User are the owner's, or the heir's, for display: the command line
	// with its arguments joined by spaces, and the name. They are told by Inspect, in a
	// BusyError and in a Wait, and only where the process can be seen from this one.
	Command string
	User    string

	program   string // the first word of the command line
	self      bool
	reachable bool   // the owner's pid means the same to this process
	start     uint64 // of the owner, as its ticket has it

	marked  bool      // it may have been left to heirs
	touched time.Time // when that last changed
	kept    bool      // it was not, with touched as it is
}

func newTicket(c turn.Contender) Ticket {
	return Ticket{
		Path: c.ID, Host: c.Host, PID: c.PID, Queued: c.Queued, Shared: c.Shared, Lease: c.Lease, Plain: c.Plain,
		FlockPeer: c.FlockPeer, State: states[c.State], Reason: c.Reason, Label: c.Label, Guarded: c.Guarded,
		self: c.Self, reachable: c.Reachable && c.State != turn.Dead, start: c.Start,
		marked: c.Marked, touched: c.Touched,
	}
}

var states = map[turn.State]State{
	turn.Alive: Alive, turn.Inside: Inside, turn.Resting: Resting, turn.Stalled: Stalled, turn.Dead: Dead,
}

// longest is how many characters of a program's name a message shows: a process may
// call itself anything.
const longest = 64

// String describes the ticket in a few words. Of the command line it shows the program
// only: arguments may be secret, and errors end up in logs.
func (t Ticket) String() string {
	if t.FlockPeer {
		return t.peerString()
	}
	var b strings.Builder
	if t.self {
		b.WriteString("this process")
	} else {
		fmt.Fprintf(&b, "%s pid %d", ticket.Quote(t.Host), t.PID)
	}
	if t.Label != "" {
		b.WriteString(" " + strconv.Quote(t.Label))
	}
	if !t.self && t.Heir == 0 {
		b.WriteString(t.process())
	}
	if t.Shared {
		b.WriteString(", shared")
	}
	fmt.Fprintf(&b, ", queued since %s (%s: %s", t.Queued.Format(stamp(t.Queued)), t.State, ticket.Escape(t.Reason))
	switch {
	case t.State == Unknown:
		b.WriteString(", ticket " + ticket.Quote(t.Path))
	case t.Heir != 0:
		fmt.Fprintf(&b, "; the heir is pid %d%s", t.Heir, t.process())
	}
	b.WriteString(")")
	return b.String()
}

// inTheWay says what the ticket is to those behind it, who would share the lock or not,
// or else nobody if there is none.
func (t Ticket) inTheWay(nobody string, shared bool) string {
	switch {
	case t.Path == "":
		return nobody
	case t.State == Inside:
		return "held by " + t.String()
	case shared && t.State != Dead: // readers may be inside
		return "the next writer is " + t.String()
	case t.State == Dead: // or it would not be in the way
		return "in the way is " + t.String() + ", ticket " + ticket.Quote(t.Path)
	default:
		return "first in the queue is " + t.String()
	}
}

// process says what the program is and whose, in parentheses, as far as is known.
func (t Ticket) process() string {
	var known []string
	if t.program != "" {
		known = append(known, ticket.Escape(ticket.Shorten(t.program, longest)))
	}
	if t.User != "" {
		known = append(known, "user "+ticket.Escape(t.User))
	}
	if len(known) == 0 {
		return ""
	}
	return " (" + strings.Join(known, ", ") + ")"
}

// MarshalJSON writes what is known of the ticket, with its lease as text.
func (t Ticket) MarshalJSON() ([]byte, error) {
	lease := ""
	if t.Lease > 0 {
		lease = t.Lease.String()
	}
	return json.Marshal(struct {
		Path      string    `json:"path"`
		Host      string    `json:"host"`
		PID       int       `json:"pid"`
		Queued    time.Time `json:"queued"`
		Shared    bool      `json:"shared,omitempty"`
		Lease     string    `json:"lease,omitempty"`
		Plain     bool      `json:"plain,omitempty"`
		Flock     bool      `json:"flock_peer,omitempty"`
		State     State     `json:"state"`
		Reason    string    `json:"reason"`
		Label     string    `json:"label,omitempty"`
		Stopped   bool      `json:"stopped,omitempty"`
		Guarded   bool      `json:"guarded,omitempty"`
		Inherited bool      `json:"inherited,omitempty"`
		Heir      int       `json:"heir,omitempty"`
		Command   string    `json:"command,omitempty"`
		User      string    `json:"user,omitempty"`
	}{t.Path, t.Host, t.PID, ticket.JSONTime(t.Queued), t.Shared, lease, t.Plain, t.FlockPeer, t.State, t.Reason, t.Label, t.Stopped, t.Guarded, t.Inherited, t.Heir, t.Command, t.User})
}

// stamp is the layout for a time, short for one of today.
func stamp(t time.Time) string {
	if t.Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return time.TimeOnly
	}
	return time.DateTime
}

// fillProcess adds what the process table has for display of the owner, or else of the
// heir. Whatever cannot be learnt stays empty. before is what was learnt earlier, nil for
// nothing: of the same ticket it need not be learnt again.
func (t *Ticket) fillProcess(before *Ticket) {
	t.fillOwner(before)
	t.Inherited = t.Inherited || t.bequeathed(before)
	switch {
	case !t.Inherited:
	case t.follows(before) && before.Heir == 0: // it cannot be seen, and to ask means to ask all processes
	case t.follows(before) && liveness.Ask(before.Heir, 0) != liveness.ProcessGone:
		t.Heir, t.program, t.Command, t.User = before.Heir, before.program, before.Command, before.User
	default:
		if t.Heir = opener(t.Path); t.Heir != 0 {
			t.describedAs(liveness.Describe(t.Heir))
		}
	}
}

// bequeathed reports whether the owner lives and has left the lock to heirs (see Bequeath).
// To see that takes a look at all that its process has open. So who looks again and again
// asks only while the ticket has the mark that Bequeath makes, which others have, too, and
// has been touched since the owner was last seen to have it.
func (t *Ticket) bequeathed(before *Ticket) bool {
	switch again := before != nil && before.Path == t.Path; {
	case !t.reachable || t.State != Inside:
		return false
	case again && before.Inherited:
		return true // nobody gets it back
	case again && before.kept && before.touched.Equal(t.touched):
		t.kept = true
		return false
	case before != nil && !t.marked:
		return false
	case letGo(t.PID, t.Path):
		return true
	}
	// Within a tick of the clock another change would leave the same time.
	tick := clockTick
	if t.touched.Nanosecond() == 0 {
		tick = coarseTick
	}
	t.kept = time.Since(t.touched) > tick
	return false
}

// letGo and opener are variables for tests of how often they are asked.
var letGo, opener = liveness.LetGo, liveness.Opener

const (
	// clockTick is longer than a tick of any clock that stamps files.
	clockTick = 100 * time.Millisecond
	// coarseTick is longer than the second, or two, in which some filesystems store times.
	coarseTick = 3 * time.Second
)

// fillOwner is fillProcess without a search for the heir, which goes through all
// processes there are.
func (t *Ticket) fillOwner(before *Ticket) {
	// The owner may have left its lock to an heir, and its pid to a stranger.
	if !t.reachable {
		return
	}
	if t.self { // it runs, and who tries a lock of its own in a loop need not ask each time
		t.describedAs(ownDescription())
		return
	}
	switch process := liveness.Ask(t.PID, t.start); process {
	case liveness.ProcessRuns, liveness.ProcessStopped:
		t.Stopped = process == liveness.ProcessStopped
		if t.follows(before) {
			t.program, t.Command, t.User = before.program, before.Command, before.User
		} else {
			t.describedAs(liveness.Describe(t.PID))
		}
	case liveness.ProcessGone, liveness.ProcessZombie, liveness.ProcessOther:
		t.Inherited = t.State == Inside
	}
}

// follows reports whether before is the same ticket, and was its owner's as t is.
func (t *Ticket) follows(before *Ticket) bool {
	return before != nil && before.Path == t.Path && before.Inherited == t.Inherited
}

func (t *Ticket) describedAs(d liveness.Description) {
	t.program, t.Command, t.User = d.Program, d.Command, d.User
}

var ownDescription = sync.OnceValue(func() liveness.Description { return liveness.Describe(os.Getpid()) })
