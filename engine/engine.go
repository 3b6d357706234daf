// Package engine is the seam behind which a filelock.FileLock can stand in
// another queue than a directory's: in a service that several machines share,
// say. Package filelock takes one with filelock.WithEngine; module
// github.com/filelock-go/filelock/etcdlock is one, and package memengine one in
// memory, for tests.
//
// What an engine gives is the queue: a place in it that lasts while a lease is
// renewed, who is ahead, and the turn. Everything above is the library's, and the
// same for all of them: the line of goroutines, batches, reentrancy, timeouts,
// renewing the lease, being late with it, and errors. Whoever writes an engine has
// it pass package enginetest.
package engine

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrBusy is returned by Ticket.Try when somebody is in the queue.
	ErrBusy = errors.New("somebody is in the queue")
	// ErrGone is returned when a place in the queue is no more: its lease ran
	// out, or somebody evicted it.
	ErrGone = errors.New("the place in the queue is gone")
	// ErrUnavailable is matched when the service does not answer, or answers
	// that it cannot for now. It may be matched together with a context's error.
	ErrUnavailable = errors.New("the lock service does not answer")
)

// An Engine opens queues. It is safe for use by several goroutines.
type Engine interface {
	// Open returns the queue of a name: UTF-8 or not, of any characters, and equal
	// on all machines that mean the same lock. No name is a part of another one:
	// "a" and "a/b" are two locks. Open does not talk to the service; its error
	// is of the name or the options.
	Open(name string, o Options) (Queue, error)
}

// Options are what a lock wants of its queue.
type Options struct {
	// Lease is how long a place lasts without being renewed: whole seconds, at
	// least one. What the service grants may be another time.
	Lease time.Duration
	// Poll is how often a waiter looks for itself where nothing tells it of changes.
	Poll time.Duration
	// Label is what the contender says of itself.
	Label string
}

// A Queue is one lock's. It is safe for use by several goroutines.
type Queue interface {
	// ID is the same for two queues of one process exactly if they are one
	// queue, reached in the same way: their goroutines stand in one line.
	ID() string
	// New returns a ticket that has yet to join.
	New(shared bool) Ticket
	// List returns the contenders in the order of the queue, and what is left of
	// their leases.
	List(ctx context.Context) ([]Contender, error)
	// Evict takes away the place of c, whose ID and Serial are those that List
	// returned. It returns ErrGone if that very place is no more.
	Evict(ctx context.Context, c Contender) error
}

// A Ticket is one contender's place in the queue. One goroutine at a time calls
// Join, Try, Wait, Leave and Swapper's JoinFor; Renew may run beside Wait, and
// Ahead, Gone and Token are safe at any time.
//
// All calls return at the end of their context, within milliseconds, whatever the
// service does. Those that pass errors on ride out what passes, such as an election,
// for as long as the context lasts; then they return an error that matches the
// context's, and ErrUnavailable if the service did not answer. Errors that do not
// pass are returned at once: no right to do so matches fs.ErrPermission.
type Ticket interface {
	// Join takes the last place. On error there is none: if it is in doubt
	// whether the request arrived, the ticket sees to it in the background that
	// no place comes of it, or one that ends with its lease.
	Join(ctx context.Context) (Term, error)
	// Try is Join if nobody is in the queue that the ticket would have to wait
	// for: then it is its turn. Otherwise it returns ErrBusy, Ahead says who is
	// there, and the service has stored nothing.
	Try(ctx context.Context) (Term, error)
	// Wait returns nil when it is the ticket's turn, ErrGone when its place is
	// gone. After a context's error the place is kept, and Wait may be called again.
	Wait(ctx context.Context) error
	// Renew has the lease start anew. It counts from the moment of the call,
	// for whoever made it. ErrGone: there is no such lease any more.
	Renew(ctx context.Context) error
	// Leave gives up the place, or the turn. ErrGone: it was gone already. If it
	// cannot be confirmed, the place ends with its lease: whatever Leave returns,
	// the ticket is not renewed by anybody from here on. Further calls do nothing.
	Leave(ctx context.Context) error
	// Self returns the ticket as others see it; without Serial before it has joined.
	Self() Contender
	// Ahead returns who was first in the queue, and how many were ahead of the
	// ticket, at the last look. With nobody ahead, first is the ticket itself.
	Ahead() (first Contender, n int)
	// Gone returns a channel that is closed when the place is seen to be gone. It
	// is nil where nothing tells; then the loss shows when the lease is renewed.
	Gone() <-chan struct{}
	// Token is a number that grows from one place that got the turn to the next,
	// below 1<<48; 0 before Join has succeeded.
	Token() uint64
}

// A Swapper is a Ticket that can take its place and give up another one in one
// step.
type Swapper interface {
	Ticket
	// JoinFor is Join, but old, whose turn it is, leaves in the same step, and is
	// over then. ErrGone: old was gone. After any error old may or may not have left,
	// and its Leave is next.
	JoinFor(ctx context.Context, old Ticket) (Term, error)
}

// A Term is a lease as the service granted it.
type Term struct {
	Length time.Duration
	// Since is when it was asked for, or last renewed: the service may have begun
	// to count as early as that.
	Since time.Time
}

// Contender is one in a queue.
type Contender struct {
	ID     string // names it in its queue; who comes when it has left may have the same
	Serial uint64 // together with ID it names one place, once and for all
	Host   string
	PID    int
	Own    bool      // it is of this process
	Queued time.Time // when it took its place, by its own clock
	Shared bool
	Lease  time.Duration
	Left   time.Duration // of the lease; from List only, less than zero: not known
	Label  string
}
