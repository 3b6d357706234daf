// Package waitfor finds processes of this machine that wait for each other's locks
// in a circle: what is called a cycle of the wait-for graph.
//
// It is for telling only. Nobody's wait ends by it, and no ticket is removed.
//
// A process is inside, or waits, with every ticket that it has open, and the kernel
// shows who has: the links in /proc/PID/fd name the tickets, whose names say of
// which queue they are, and /proc/PID/fdinfo tells which of a ticket's locks it has.
// Only the processes that a wait leads to are looked at.
//
// What a process does in one goroutine it need not be kept from by another one. So a
// circle of processes may be a deadlock, and is told as that; a circle of owners that
// are named (see filelock.NewOwner) is one.
//
// Elsewhere than on Linux, and on filesystems that other kernels mount too, nothing is
// found but circles of named owners of this process.
package waitfor

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Queue names a queue: the directory and the prefix of its tickets.
type Queue struct{ Dir, Prefix string }

// Target is the path that the queue's tickets stand beside. With a queue directory
// elsewhere it is only like the target's.
func (q Queue) Target() string {
	return filepath.Join(q.Dir, strings.TrimSuffix(q.Prefix, ".lock."))
}

// Compare orders queues.
func (q Queue) Compare(o Queue) int {
	return cmp.Or(strings.Compare(q.Dir, o.Dir), strings.Compare(q.Prefix, o.Prefix))
}

// State is what a process does with a ticket that it has open.
type State int

const (
	// Idle: it is in its doorway, or at rest.
	Idle State = iota
	Waiting
	Inside
)

func (s State) String() string { return [...]string{"idle", "waiting", "inside"}[s] }

// Ticket is a ticket that a process has open to queue with it, or because it
// inherited that.
type Ticket struct {
	Queue
	File  string      // the ticket's name
	Name  ticket.Name // what that says
	PID   int         // the process that has it open; of an heir, not the one in Name
	State State
	// Number is the ticket's, as long as it waits or is inside.
	Number queue.Number
}

// key is the same only as long as the process does the same with the ticket: one that
// queues again may keep its name, but gets a higher number.
func (t Ticket) key() string {
	return fmt.Sprintf("%d/%s@%d.%d", t.PID, t.File, t.Number.Sec, t.Number.Nsec)
}

// Process is a process that has tickets open.
type Process struct {
	PID     int
	Tickets []Ticket
	// Mounts is its mount namespace: in another one paths mean something else.
	Mounts uint64
}

// Step is one who waits in a circle, and holds what the one before waits for.
type Step struct {
	Who   string // as in "pid 12"
	Queue Queue  // what it waits for
}

// Circle is a ring of waits. The first one holds what the last one waits for.
type Circle struct {
	Steps []Step
	// Certain: each step is an owner that is named. Otherwise each is a process, which
	// may hold and wait in different goroutines.
	Certain bool
	// Key is the same for the same waits and holds only.
	Key string
}

// Text says in words what the circle is. name returns what a queue is called.
func (c Circle) Text(name func(Queue) string) string {
	var b strings.Builder
	if !c.Certain {
		b.WriteString("may be a ")
	}
	first := c.Steps[0]
	fmt.Fprintf(&b, "deadlock: %s waits for %s", first.Who, name(first.Queue))
	for _, s := range c.Steps[1:] {
		fmt.Fprintf(&b, ", which %s holds while it waits for %s", s.Who, name(s.Queue))
	}
	if len(c.Steps) == 1 {
		b.WriteString(", which it has inherited itself")
	} else {
		fmt.Fprintf(&b, ", which %s holds", first.Who)
	}
	return b.String()
}
