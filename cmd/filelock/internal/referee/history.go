// Package referee judges those who contend for a lock, without trusting the
// filesystem that the lock is on: they tell it over the network when they ask for
// the lock, get in line, come in and go out, and it puts that down by one clock,
// its own.
//
// What a contender says is acknowledged before it goes on. So what the referee has
// put down as inside lies within what was inside, and an overlap that it sees is
// one.
package referee

import "time"

// What a contender tells.
type What string

const (
	Asks     What = "asks"     // it is about to ask for the lock
	Queues   What = "queues"   // its place in the queue is final, as of now at the latest
	Restarts What = "restarts" // it has lost that place, and starts anew
	Enters   What = "enters"   // it is inside
	Leaves   What = "leaves"   // it is about to give the lock back
	Fails    What = "fails"    // it did not get the lock, or could not give it back
	Ends     What = "ends"     // it has done what it had to
	Vanishes What = "vanishes" // its connection has ended, which the referee notes
)

// Event is one thing that was told.
type Event struct {
	At   time.Duration // since the history began
	Who  int           // the contender's index
	What What
	Text string // of Fails
}

// Contender is one process that takes part.
type Contender struct {
	Host string
	PID  int
}

// History is all that was told, in the order in which the referee heard it.
type History struct {
	Contenders []Contender
	Events     []Event
}
