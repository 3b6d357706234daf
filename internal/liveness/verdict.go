// Package liveness says what the evidence about a ticket's owner means: whether
// it is inside, waits, is stalled, is dead, or cannot be told.
//
// Where there are entry locks (rule R13), exclusion does not rest on what is
// said here: a wrong verdict costs a waiter its place. Elsewhere a wrong "dead"
// lets two in, and a wrong "alive" only blocks. So nothing is called dead
// without proof; what was not seen is not known; and every verdict carries its
// reason in words.
package liveness

import (
	"fmt"
	"time"

	"github.com/filelock-go/filelock/internal/ticket"
)

// State is a verdict in one word.
type State int

const (
	// Unknown counts as alive.
	Unknown State = iota
	// Alive: the owner lives, and waits or cannot be told to be inside.
	Alive
	// Inside: the owner, or an heir, has the entry lock.
	Inside
	// Resting: the owner has left, and keeps its ticket to come back to. Its ticket
	// may be removed; it starts anew if it comes back.
	Resting
	// Stalled: the owner lives, but does not take its turn. Its ticket may be
	// removed; it starts anew when it goes on.
	Stalled
	// Dead: the owner is dead. Its ticket may be removed.
	Dead
)

// Verdict says what is known of an owner, and why.
type Verdict struct {
	State  State
	Reason string
	// Gone: there is proof that the process is gone, so that a ticket that may
	// not be removed can be passed by. Without it, only the removal itself makes
	// sure that the owner does not come in.
	Gone bool
	// Expired: the owner's lease ran out. It has agreed to be robbed then, even
	// while it is inside.
	Expired bool
}

// Removable reports whether the ticket may be removed.
func (v Verdict) Removable() bool {
	return v.State == Dead || v.State == Stalled || v.State == Resting
}

// Lock is what a look at one of a ticket's kernel locks found.
type Lock int

const (
	// Unseen: it could not be looked at, or there are no locks here.
	Unseen Lock = iota
	// Free: nobody has it. It means something only where locks tell.
	Free
	// Held: somebody has it.
	Held
)

const (
	// Grace is how long a ticket must have been without a witness, or at the
	// head with its owner stopped, before it is removed for that alone.
	Grace = time.Second
	// StallGrace is how long a ticket may be at the head without going in, its
	// owner alive and not stopped.
	StallGrace = 5 * time.Second
	// leaseMargin is added to a lease, as a part of it: a heartbeat may be late.
	leaseMargin = 4
)

// Expiry returns how long a heartbeat may stand still before the lease is over.
// A second more is for filesystems that store whole ones: on them a heartbeat
// may seem to stand still that long.
func Expiry(lease time.Duration) time.Duration { return lease + lease/leaseMargin + time.Second }

// Evidence is all that is known of one ticket's owner. The durations are 0 at
// the first look, and are measured on our own monotonic clock.
type Evidence struct {
	Name           ticket.Name
	Entry, Witness Lock
	// Tells: the onlooker sees the owner's locks, see Filesystem.Tells.
	Tells bool
	// Thorough: of one who is inside, or rests, say whether its process lives.
	Thorough bool
	// Marked: while its entry lock is free, the ticket rests.
	Marked bool
	// Readable: the ticket could be opened, or need not be.
	Readable bool
	// FreeFor is how long both locks have been seen free and the number unmoved;
	// HeadFor is how long it was the ticket's turn besides, nothing that conflicts
	// with it being below; StillFor is how long the heartbeat has not moved.
	FreeFor, HeadFor, StillFor time.Duration
}

// Judge weighs the evidence.
func (id Identity) Judge(e Evidence) Verdict { return id.judge(e, Ask) }

func (id Identity) judge(e Evidence, ask func(pid int, start uint64) Process) Verdict {
	if lease := e.Name.Lease; lease > 0 && e.StillFor > Expiry(lease) {
		return Verdict{State: Dead, Gone: true, Expired: true, Reason: fmt.Sprintf("its lease of %v was not renewed for %v", lease, e.StillFor.Round(time.Millisecond))}
	}
	switch {
	case e.Entry == Held:
		return id.judgeInside(e, ask)
	case e.Name.Plain:
		return id.judgePlain(e.Name, ask)
	case e.Tells && e.Entry == Free && e.Marked:
		return id.judgeResting(e, ask)
	case e.Tells && e.Entry == Free && e.Witness == Held:
		return id.judgeWaiter(e, ask)
	case e.Tells && e.Entry == Free && e.Witness == Free:
		return id.judgeFree(e, ask)
	case e.Witness == Held:
		return Verdict{State: Alive, Reason: "witness held"}
	case !e.Readable:
		return Verdict{State: Unknown, Reason: "its locks cannot be seen"}
	case e.Tells:
		return Verdict{State: Unknown, Reason: "its locks could not be looked at"}
	default:
		return id.judgeProcess(e, ask)
	}
}

// process asks for the owner's process, if that means anything here.
func (id Identity) process(n ticket.Name, ask func(int, uint64) Process) Process {
	if !n.PIDSpace.Same(id.PIDSpace) {
		return ProcessUnknown
	}
	if id.Start == 0 {
		return ask(n.PID, 0) // who does not know his own start cannot compare others'
	}
	return ask(n.PID, n.Start)
}

// Departed reports whether the ticket's owner was a process of this pid space
// that is no more. It asks no filesystem but /proc.
func (id Identity) Departed(n ticket.Name) bool {
	if n.Host != id.Host {
		return false
	}
	_, ok := gone(n.PID, id.process(n, Ask))
	return ok
}

func (id Identity) judgeInside(e Evidence, ask func(int, uint64) Process) Verdict {
	if !e.Thorough {
		return Verdict{State: Inside, Reason: "entry held"}
	}
	switch id.process(e.Name, ask) {
	case ProcessGone, ProcessZombie, ProcessOther:
		return Verdict{State: Inside, Reason: fmt.Sprintf("entry held by an heir; pid %d is gone", e.Name.PID)}
	case ProcessStopped:
		return Verdict{State: Inside, Reason: "entry held; the process is stopped"}
	default:
		return Verdict{State: Inside, Reason: "entry held"}
	}
}

// judgeResting: nobody is inside, and its owner may come back. Whether that lives
// makes a difference for display, and where only the ticket of one who is gone
// may be passed by.
func (id Identity) judgeResting(e Evidence, ask func(int, uint64) Process) Verdict {
	if e.Thorough {
		process := id.process(e.Name, ask)
		if v, ok := gone(e.Name.PID, process); ok {
			return v
		}
		if process == ProcessUnknown && e.FreeFor >= Grace {
			return Verdict{State: Dead, Reason: fmt.Sprintf("nobody has held its locks for %v, and it was left at rest", e.FreeFor.Round(time.Millisecond))}
		}
	}
	return Verdict{State: Resting, Reason: "nobody holds the lock; its owner keeps the ticket for a while"}
}

// judgeWaiter: it lives. At the head it must go in before long.
func (id Identity) judgeWaiter(e Evidence, ask func(int, uint64) Process) Verdict {
	if e.HeadFor < Grace {
		return Verdict{State: Alive, Reason: "waits: witness held"}
	}
	switch {
	case id.process(e.Name, ask) == ProcessStopped:
		return Verdict{State: Stalled, Reason: fmt.Sprintf("pid %d is stopped, and it was its turn for %v", e.Name.PID, e.HeadFor.Round(time.Millisecond))}
	case e.HeadFor >= StallGrace:
		return Verdict{State: Stalled, Reason: fmt.Sprintf("it did not take its turn for %v", e.HeadFor.Round(time.Millisecond))}
	}
	return Verdict{State: Alive, Reason: "waits: witness held; it is its turn"}
}

// judgeFree: nobody has the ticket's locks, and we would see it. The owner is
// dead, or has yet to take its witness.
func (id Identity) judgeFree(e Evidence, ask func(int, uint64) Process) Verdict {
	if v, ok := gone(e.Name.PID, id.process(e.Name, ask)); ok {
		return v
	}
	if e.FreeFor >= Grace {
		return Verdict{State: Dead, Reason: fmt.Sprintf("nobody has held its locks for %v", e.FreeFor.Round(time.Millisecond))}
	}
	return Verdict{State: Unknown, Reason: "its witness is not held; it may be about to take it"}
}

// gone returns the verdict on a process that is no more.
func gone(pid int, p Process) (Verdict, bool) {
	var reason string
	switch p {
	case ProcessGone:
		reason = "pid %d is gone"
	case ProcessZombie:
		reason = "pid %d has ended and is not reaped yet"
	case ProcessOther:
		reason = "pid %d is another process by now"
	default:
		return Verdict{}, false
	}
	return Verdict{State: Dead, Gone: true, Reason: fmt.Sprintf(reason, pid)}, true
}

// judgeProcess: locks do not tell here, and the process table is all there is.
// Clones of one machine can share a boot id, and so a pid space; their names
// tend to differ.
func (id Identity) judgeProcess(e Evidence, ask func(int, uint64) Process) Verdict {
	n := e.Name
	if !n.PIDSpace.Same(id.PIDSpace) || n.Host != id.Host {
		return Verdict{State: Unknown, Reason: "it is of another host or another pid namespace, and locks tell nothing here"}
	}
	p := id.process(n, ask)
	if v, ok := gone(n.PID, p); ok {
		return v
	}
	switch p {
	case ProcessRuns:
		return Verdict{State: Alive, Reason: fmt.Sprintf("pid %d runs", n.PID)}
	case ProcessStopped:
		return Verdict{State: Alive, Reason: fmt.Sprintf("pid %d is stopped", n.PID)}
	case ProcessHidden:
		return Verdict{State: Alive, Reason: fmt.Sprintf("a process has pid %d; it is hidden from here", n.PID)}
	default:
		return Verdict{State: Unknown, Reason: fmt.Sprintf("nothing can be learnt of pid %d", n.PID)}
	}
}

// judgePlain has only a pid and a hostname to go by. Host names can be the
// same in two containers, so only where pids are the machine's own does a
// missing process mean anything.
func (id Identity) judgePlain(n ticket.Name, ask func(int, uint64) Process) Verdict {
	switch {
	case n.Host != id.RawHost && n.Host != id.Host:
		return Verdict{State: Unknown, Reason: fmt.Sprintf("a plain ticket of another host, %s", n.Host)}
	case !id.InitialPIDs:
		return Verdict{State: Unknown, Reason: "a plain ticket, and this process sees only a container's pids"}
	}
	switch ask(n.PID, 0) {
	case ProcessGone:
		return Verdict{State: Dead, Gone: true, Reason: fmt.Sprintf("a plain ticket, and pid %d of this host is gone", n.PID)}
	case ProcessUnknown:
		return Verdict{State: Unknown, Reason: fmt.Sprintf("a plain ticket, and nothing can be learnt of pid %d", n.PID)}
	default:
		return Verdict{State: Alive, Reason: fmt.Sprintf("a plain ticket, and a process has pid %d", n.PID)}
	}
}
