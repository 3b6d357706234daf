package filelock

import (
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// memory is what is remembered of others' tickets from one look to the next,
// by file name: some proofs of death take time. All times are on our own
// monotonic clock. The zero value is ready to use.
type memory map[string]*suspect

type suspect struct {
	number    queue.Number
	beat      ticketdir.Beat
	beatSince time.Time // how long the heartbeat has been as it is
	freeSince time.Time // how long the witness has been free; zero: it is not
}

// knows reports whether something is remembered of a ticket.
func (m *memory) knows(file string) bool { return (*m)[file] != nil }

// judge gives the verdict on a ticket's owner.
func (m *memory) judge(file string, name ticket.Name, probe *ticketdir.Probe) liveness.Verdict {
	return liveness.Self().Judge(m.evidence(file, name, probe))
}

// evidence returns what the probe found together with what is remembered.
func (m *memory) evidence(file string, name ticket.Name, probe *ticketdir.Probe) liveness.Evidence {
	e := liveness.Evidence{Name: name, Witness: probe.Witness, Place: probe.Place, OneKernel: probe.OneKernel}
	if probe.Witness != liveness.WitnessFree && name.Lease == 0 {
		delete(*m, file) // nothing here takes time to prove
		return e
	}
	now := time.Now()
	s := (*m)[file]
	if s == nil {
		s = &suspect{number: probe.Number, beat: probe.Beat, beatSince: now}
		if *m == nil {
			*m = memory{}
		}
		(*m)[file] = s
	}
	if s.beat != probe.Beat || s.number != probe.Number {
		s.beat, s.beatSince = probe.Beat, now
	}
	switch free := probe.Witness == liveness.WitnessFree; {
	case !free:
		s.freeSince = time.Time{}
	case s.freeSince.IsZero(), s.number != probe.Number:
		s.freeSince = now
	default:
		e.FreeFor = now.Sub(s.freeSince)
	}
	s.number = probe.Number
	e.StillFor = now.Sub(s.beatSince)
	return e
}

// unwitnessed reports whether a ticket's owner has yet to take its witness,
// or has died: where it can take one, it does so at the end of its doorway.
func unwitnessed(name ticket.Name, probe *ticketdir.Probe) bool {
	return probe.Witness == liveness.WitnessFree && name.Place.Same(probe.Place)
}
