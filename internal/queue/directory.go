package queue

import (
	"context"
	"errors"
	"strings"
)

var (
	// ErrBusy is returned by Try when another contender is ahead.
	ErrBusy = errors.New("queue: another contender is ahead")
	// ErrGone is returned when the own ticket was removed by somebody else
	// before its turn had come. Nothing is lost but the place in the queue.
	ErrGone = errors.New("queue: own ticket is gone")
	// ErrMoved is returned when somebody else changed the own ticket's number
	// before its turn had come. Nothing is lost but the place in the queue.
	ErrMoved = errors.New("queue: own ticket's number was changed")
	// ErrTop is returned when no number above all others can be stored.
	ErrTop = errors.New("queue: no number can be stored above that of")
)

// Ticket is one contender's file.
type Ticket struct {
	Name   string
	Number Number
	Plain  bool // its owner follows the plain rule and never raises
	Shared bool // its owner waits for exclusive tickets only
}

// Before reports whether t is ahead of u.
func (t Ticket) Before(u Ticket) bool { return t.Compare(u) < 0 }

// Conflicts reports whether the owners of t and u exclude each other.
func (t Ticket) Conflicts(u Ticket) bool { return !t.Shared || !u.Shared }

// Compare orders tickets by number, then name as bytes.
func (t Ticket) Compare(u Ticket) int {
	if c := t.Number.Compare(u.Number); c != 0 {
		return c
	}
	return strings.Compare(t.Name, u.Name)
}

// Directory is where the tickets are, as the owner of one ticket uses it.
type Directory interface {
	// Create makes the own ticket and returns its name.
	Create() (name string, err error)
	// List returns all tickets, the own one too: each that is there from the
	// listing's beginning to its end, with its kind, and with a number read
	// after it began; in the second listing of a doorway, the number may be the
	// first one's.
	List() ([]Ticket, error)
	// Renumber stores n as the own number and returns what was kept of it.
	Renumber(n Number) (stored Number, err error)
	// Announce makes a raised number visible where attributes may be cached.
	Announce(n Number) error
	// Settle tells that the own number is final, and whether its owner is going
	// to wait: then it makes visible that the owner lives. ErrGone: the ticket
	// is gone.
	Settle(waits bool) error
	// Enter is R13: it takes the entry lock, and returns the own number as a
	// look at the name finds it after that. ErrGone: the ticket was removed, or
	// somebody is about to remove it. Where there are no entry locks it only
	// looks. It may be called again.
	Enter() (Number, error)
	// Reenter is Enter for a ticket that rests (R14). It need not look at the name but
	// now and then: that nobody removed the ticket can be told by the open file, and
	// that it was not moved by the times of the directory.
	Reenter() (Number, error)
	// Rest marks the ticket as resting (R14), unless it is marked, and gives up its
	// locks. After an error the ticket may be marked, and still be entered.
	Rest() error
	// Restamp stores a number by the clock, but above a given one, and returns
	// what it stored, or more. To rest, it gives up the locks first, and marks the
	// ticket together with the number; to get in line again it takes the mark away
	// together with the number, and then gives up the locks. ErrGone: the ticket is
	// gone.
	Restamp(above Number, rests bool) (Number, error)
	// Times returns when the directory's entries last changed.
	Times() (Times, error)
	// Settled reports whether t lies so far back that no change from now on can
	// have t for its time.
	Settled(t Times) bool
	// Remaining returns those of ts that a listing begun now still shows. Their
	// numbers are those of ts, or were read after it began. It may use the memory of
	// ts for that.
	Remaining(ts []Ticket) ([]Ticket, error)
	// Remove gives up the entry lock and removes the own ticket. ErrGone: it was
	// gone already, before the entry lock was given up if it had that.
	Remove() error
}

// Standing is what another's ticket means to those behind it.
type Standing int

const (
	Gone        Standing = iota // removed, or its owner is dead or had left it: out of the way
	Provisional                 // its owner may still be in the doorway
	Final                       // its owner waits or holds
	AtRest                      // its owner has left, and may come back; see Look
)

// Others is what a contender can learn about other contenders' tickets.
type Others interface {
	// Look returns t as it is now: the number is read after all that its
	// standing rests on. It removes a dead ticket if it may (R8), and only under
	// that ticket's entry lock (R13). One that rests it removes likewise, but only
	// if it is the last one in the way; else that is AtRest.
	Look(t Ticket, last bool) (now Ticket, s Standing, err error)
	// Watch begins to watch t.
	Watch(t Ticket) Watch
}

// Watch is a watch on one ticket.
type Watch interface {
	// Wait returns nil when the ticket may have changed since the last call,
	// or the watch began; soon, within milliseconds in any case. It returns
	// the context's error when ctx is done.
	Wait(ctx context.Context, soon bool) error
	Stop()
}
