// Package liveness decides whether the owner of a ticket lives.
//
// A wrong "dead" corrupts data and a wrong "alive" only blocks, so nothing is
// called dead without proof, and every verdict carries its reason in words.
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
	Alive
	Dead
)

func (s State) String() string {
	return [...]string{"unknown", "alive", "dead"}[s]
}

// Verdict says whether an owner lives, and why we think so.
type Verdict struct {
	State  State
	Reason string
	// NeedsRemoval: the owner counts as dead only if its ticket is removed, by
	// somebody who has the witness's lock meanwhile.
	NeedsRemoval bool
}

func (v Verdict) String() string { return v.State.String() + ": " + v.Reason }

// Witness is what a probe of a ticket's kernel lock found.
type Witness int

const (
	// WitnessNone: the filesystem has no locks, or the ticket cannot be opened.
	WitnessNone Witness = iota
	// WitnessFree: nobody has the lock. It means something only to those who
	// see the filesystem through the same kernel and mount as the owner.
	WitnessFree
	// WitnessHeld: somebody has it, so the owner lives, on whatever host.
	WitnessHeld
)

const (
	// Grace is how long a witness must have been free, the ticket unmoved,
	// before that alone is proof: an owner takes it right after its doorway.
	Grace = time.Second
	// leaseMargin is added to a lease, as a part of it: a heartbeat may be late.
	leaseMargin = 4
)

// Expiry returns how long a heartbeat may stand still before the lease is over.
// A second more is for filesystems that store whole ones: on them a heartbeat
// may seem to stand still that long.
func Expiry(lease time.Duration) time.Duration { return lease + lease/leaseMargin + time.Second }

// Evidence is all that is known of one ticket's owner.
type Evidence struct {
	Name    ticket.Name
	Witness Witness
	// Place is the directory's place as this process sees it.
	Place ticket.Hash
	// FreeFor is how long the witness has been seen free and the number
	// unmoved; StillFor is how long the heartbeat has not moved. Both are 0 at
	// the first look, and are measured on our own monotonic clock.
	FreeFor, StillFor time.Duration
	// OneKernel: the filesystem is of a kind that one kernel alone mounts.
	OneKernel bool
}

// Judge weighs the evidence from the strongest down.
func (id Identity) Judge(e Evidence) Verdict {
	return id.judge(e, Ask)
}

func (id Identity) judge(e Evidence, ask func(pid int, start uint64) Process) Verdict {
	n := e.Name
	if n.Lease > 0 && e.StillFor > Expiry(n.Lease) {
		return Verdict{State: Dead, Reason: fmt.Sprintf("its lease of %v was not renewed for %v", n.Lease, e.StillFor.Round(time.Millisecond))}
	}
	if e.Witness == WitnessHeld {
		return Verdict{State: Alive, Reason: "witness held"}
	}
	if n.Plain {
		return id.judgePlain(n, ask)
	}
	tells := e.Witness == WitnessFree && n.Place.Same(e.Place)
	if n.PIDSpace.Same(id.PIDSpace) {
		start := n.Start
		if id.Start == 0 {
			start = 0 // who does not know his own cannot compare others'
		}
		// A hidden process is no better known than one of another pid
		// namespace; where the witness tells, it has the last word.
		if p := ask(n.PID, start); p != ProcessHidden || !tells {
			return judgeProcess(n, p, e.Witness)
		}
	}
	if tells {
		if e.FreeFor >= Grace {
			return Verdict{State: Dead, Reason: "its witness on this machine is gone", NeedsRemoval: true}
		}
		return Verdict{State: Unknown, Reason: "its witness is not held; it may be about to take it"}
	}
	if !e.OneKernel || n.Place&oneKernelBit == 0 {
		return Verdict{State: Unknown, Reason: "it is of another host or another boot, and the filesystem may be mounted by both"}
	}
	switch id.bootOf(n) {
	case earlierBoot:
		return Verdict{State: Dead, Reason: "it is of an earlier boot of this machine"}
	case thisBoot:
		return Verdict{State: Unknown, Reason: "it is of another pid namespace, and its witness cannot be seen from here"}
	default:
		return Verdict{State: Unknown, Reason: "it does not tell which boot it is of"}
	}
}

func judgeProcess(n ticket.Name, p Process, w Witness) Verdict {
	switch p {
	case ProcessGone:
		return Verdict{State: Dead, Reason: fmt.Sprintf("pid %d is gone", n.PID)}
	case ProcessZombie:
		return Verdict{State: Dead, Reason: fmt.Sprintf("pid %d has ended and is not reaped yet", n.PID)}
	case ProcessOther:
		return Verdict{State: Dead, Reason: fmt.Sprintf("pid %d is another process by now", n.PID)}
	case ProcessRuns:
		if w == WitnessFree {
			return Verdict{State: Alive, Reason: fmt.Sprintf("pid %d runs; its witness is not held", n.PID)}
		}
		return Verdict{State: Alive, Reason: fmt.Sprintf("pid %d runs", n.PID)}
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
		return Verdict{State: Dead, Reason: fmt.Sprintf("a plain ticket, and pid %d of this host is gone", n.PID)}
	case ProcessUnknown:
		return Verdict{State: Unknown, Reason: fmt.Sprintf("a plain ticket, and nothing can be learnt of pid %d", n.PID)}
	default:
		return Verdict{State: Alive, Reason: fmt.Sprintf("a plain ticket, and a process has pid %d", n.PID)}
	}
}
