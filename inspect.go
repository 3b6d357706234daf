package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/shirou/gopsutil/v3/process"
	"go.uber.org/zap"

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

	// Command and User are the owner's, for display: from Inspect only, and
	// only where its process can be seen from this one.
	Command string
	User    string

	here  bool   // the owner's pid means the same to this process
	start uint64 // of the owner, as its ticket has it
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

// Queue is a lock's queue at one moment.
type Queue struct {
	Path    string   // the target
	Tickets []Ticket // in the order of the queue
}

// Holder returns the first ticket whose owner is not dead: the holder, unless
// it has only just come to the head. It reports false if the lock is free.
func (q Queue) Holder() (Ticket, bool) {
	for _, t := range q.Tickets {
		if t.State != Dead {
			return t, true
		}
	}
	return Ticket{}, false
}

// Inspect returns who holds the lock of path and who waits, with a verdict on
// each owner. It takes no ticket, changes nothing and does not wait. Of the
// options only WithQueueDir, WithCreateDirs and WithLogger matter.
//
// The queue may have changed by the time Inspect returns. The verdicts are
// those of one look: what takes time to prove is Unknown or Alive here, as a
// witness that is gone (see Reap) or a lease that ran out (waiters see that).
// The error is an *Error, with New's errors for the path and the filesystem's
// own.
func Inspect(path string, opts ...Option) (Queue, error) {
	l, err := newLock(path, opts)
	if err != nil {
		return Queue{}, &Error{Op: "inspect", Path: path, Err: err}
	}
	q := Queue{Path: l.path}
	err = l.look(func(view *ticketdir.View, tickets []queue.Ticket) error {
		for _, t := range tickets {
			if seen, ok := describe(view, l.queue, t); ok {
				seen.fillProcess()
				q.Tickets = append(q.Tickets, seen)
			}
		}
		return nil
	})
	if err != nil {
		return Queue{}, &Error{Op: "inspect", Path: l.path, Err: err}
	}
	return q, nil
}

// Reap removes the tickets of dead owners from the queue of path and returns
// them. It removes nothing without proof of death; where a proof takes time,
// as for a witness that is gone, it waits for that, about a second. Options as
// for Inspect.
//
// There is no need to call it: waiters do the same for the tickets ahead of
// them. The error is an *Error; it wraps those of tickets that are dead but
// could not be removed, of which there may be some besides those returned.
func Reap(path string, opts ...Option) ([]Ticket, error) {
	l, err := newLock(path, opts)
	if err != nil {
		return nil, &Error{Op: "reap", Path: path, Err: err}
	}
	r := reaper{lock: l}
	err = l.look(func(view *ticketdir.View, tickets []queue.Ticket) error {
		err := r.pass(view, tickets)
		if !r.again {
			return err
		}
		time.Sleep(liveness.Grace)
		return r.pass(view, tickets)
	})
	if err != nil {
		return r.reaped, &Error{Op: "reap", Path: l.path, Err: err}
	}
	return r.reaped, nil
}

// reaper is one call of Reap.
type reaper struct {
	lock   *FileLock
	memory memory
	again  bool // some owner's death may be proven by a second look
	reaped []Ticket
}

func (r *reaper) pass(view *ticketdir.View, tickets []queue.Ticket) error {
	var errs []error
	for _, t := range tickets {
		errs = append(errs, r.one(view, t))
	}
	return errors.Join(errs...)
}

func (r *reaper) one(view *ticketdir.View, t queue.Ticket) error {
	probe, err := view.Probe(t.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer view.Release(&probe)
	name, _ := ticket.Parse(r.lock.queue.Prefix, t.Name)
	v := r.memory.judge(t.Name, name, &probe)
	if v.State != liveness.Dead {
		r.again = r.again || v.State == liveness.Unknown && unwitnessed(name, &probe)
		return nil
	}
	if err := view.Reclaim(t.Name, &probe); err != nil {
		return err
	}
	r.lock.cfg.log.Warn("reclaim", zap.String("path", r.lock.path), zap.String("dead", t.Name), zap.String("reason", v.Reason))
	r.reaped = append(r.reaped, newTicket(r.lock.queue, t, name, v))
	return nil
}

// look calls f with the queue's tickets in order.
func (l *FileLock) look(f func(*ticketdir.View, []queue.Ticket) error) error {
	view, err := ticketdir.Open(l.queue)
	if err != nil {
		return err
	}
	defer view.Close()
	tickets, err := view.List()
	if err != nil {
		return err
	}
	slices.SortFunc(tickets, queue.Ticket.Compare)
	return f(view, tickets)
}

// first describes a ticket for an error, as well as can be.
func (l *FileLock) first(t queue.Ticket) (first Ticket) {
	view, err := ticketdir.Open(l.queue)
	if err != nil {
		return Ticket{}
	}
	defer view.Close()
	first, _ = describe(view, l.queue, t)
	return first
}

// describe looks at one ticket. It reports false if the ticket is gone; what
// cannot be looked at is there, and blocks.
func describe(view *ticketdir.View, q ticketdir.Queue, t queue.Ticket) (Ticket, bool) {
	name, _ := ticket.Parse(q.Prefix, t.Name)
	probe, err := view.Probe(t.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Ticket{}, false
	case err != nil:
		return newTicket(q, t, name, liveness.Verdict{Reason: err.Error()}), true
	}
	defer view.Release(&probe)
	var once memory
	return newTicket(q, t, name, once.judge(t.Name, name, &probe)), true
}

func newTicket(q ticketdir.Queue, t queue.Ticket, name ticket.Name, v liveness.Verdict) Ticket {
	return Ticket{
		Path: filepath.Join(q.Dir, t.Name), Host: name.Host, PID: name.PID, Queued: t.Number.Time(),
		Shared: name.Shared, Lease: name.Lease, Plain: name.Plain,
		State: State(v.State), Reason: v.Reason,
		here: name.PIDSpace.Same(liveness.Self().PIDSpace) && v.State == liveness.Alive, start: name.Start,
	}
}

// fillProcess adds what the process table has for display. Whatever cannot be
// learnt stays empty.
func (t *Ticket) fillProcess() {
	// The owner may have left its witness to a child, and its pid to a stranger.
	if !t.here || t.PID > math.MaxInt32 || liveness.Ask(t.PID, t.start) != liveness.ProcessRuns {
		return
	}
	p, err := process.NewProcess(int32(t.PID))
	if err != nil {
		return
	}
	t.Command, _ = p.Cmdline()
	t.User, _ = p.Username()
}
