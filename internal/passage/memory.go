package passage

import (
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// Memory is what this process remembers of others' tickets, by file name: some
// proofs take time, and what one attempt has begun to prove the next one
// finishes. All times are on our own monotonic clock. The zero value is ready
// to use; it is safe for several goroutines.
type Memory struct {
	mu     sync.Mutex
	traces map[string]*trace
	prune  int // when there are more than this, forget the old
	// asking are the tickets about which a call is not answered yet. It is no
	// part of the traces, since a call outlives what is known of its ticket.
	asking map[string]bool
}

// trace is what is remembered of one ticket.
type trace struct {
	firstSeen, lastSeen time.Time
	number              queue.Number
	beat                ticketdir.Beat
	beatSince           time.Time // how long the heartbeat has been as it is
	freeSince           time.Time // how long both locks have been free; zero: they are not
	headSince           time.Time // how long it has been its turn; zero: it is not
	entered             bool      // the entry was held when it was last seen
	verdict             liveness.Verdict
	robbed              bool // its owner lives, and this process removed it
}

const (
	// pruneFrom is how many traces are kept whatever their age.
	pruneFrom = 64
	// oldAfter is when a trace may be forgotten. It is longer than most leases,
	// whose end takes that long to see.
	oldAfter = 10 * time.Minute
	// crowded is so many that most are of attempts that come and go: what stands
	// in somebody's way is looked at more often than briefly.
	crowded = 4096
	briefly = 10 * time.Second
)

// of returns the trace of a ticket, a new one if there is none. m.mu is held.
func (m *Memory) of(file string, now time.Time) *trace {
	t := m.traces[file]
	if t != nil && bubble.Made(t.lastSeen) != bubble.Made(now) {
		t = nil // its times are of another clock
	}
	if t == nil {
		if m.traces == nil {
			m.traces, m.prune = map[string]*trace{}, pruneFrom
		}
		if len(m.traces) >= m.prune {
			limit := oldAfter
			if len(m.traces) > crowded {
				limit = briefly
			}
			for name, old := range m.traces {
				if now.Sub(old.lastSeen) > limit {
					delete(m.traces, name)
				}
			}
			m.prune = max(pruneFrom, 2*len(m.traces))
		}
		t = &trace{firstSeen: now, beatSince: now}
		m.traces[file] = t
	}
	t.lastSeen = now
	return t
}

// forget drops what is known of a ticket that is gone.
func (m *Memory) forget(file string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.traces, file)
}

// rob remembers that the ticket of a living owner was removed.
func (m *Memory) rob(file string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(file, time.Now()).robbed = true
}

// robbed reports whether this process has removed a living owner's ticket.
func (m *Memory) robbed(file string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.traces[file]
	return t != nil && t.robbed
}

// knows reports whether something is remembered of a ticket.
func (m *Memory) knows(file string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.traces[file] != nil
}

// age returns how long a ticket has been known; 0 is new.
func (m *Memory) age(file string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	return now.Sub(m.of(file, now).firstSeen)
}

// note remembers a probe, and returns it together with what was remembered.
// head is whether it is known to be the ticket's turn (see standing), which it
// remains until its number rises: others end above it.
func (m *Memory) note(file string, name ticket.Name, probe *ticketdir.Probe, head bool) liveness.Evidence {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	t := m.of(file, now)
	moved := t.number != probe.Number
	if t.beat != probe.Beat || moved {
		t.beat, t.beatSince = probe.Beat, now
	}
	t.number = probe.Number
	if probe.Entry != liveness.Unseen {
		t.entered = probe.Entry == liveness.Held
	}
	since(&t.freeSince, probe.Entry == liveness.Free && probe.Witness == liveness.Free, moved, now)
	head = head || !moved && !t.headSince.IsZero()
	since(&t.headSince, head && probe.Entry == liveness.Free, moved, now)
	return liveness.Evidence{
		Name: name, Entry: probe.Entry, Witness: probe.Witness,
		FreeFor: elapsed(t.freeSince, now), HeadFor: elapsed(t.headSince, now), StillFor: now.Sub(t.beatSince),
	}
}

// entered reports whether a ticket's entry was held when it was last seen.
func (m *Memory) entered(file string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.traces[file]
	return t != nil && t.entered
}

// since keeps in at the time from which on something has been so.
func since(at *time.Time, is, anew bool, now time.Time) {
	switch {
	case !is:
		*at = time.Time{}
	case at.IsZero(), anew:
		*at = now
	}
}

func elapsed(from, now time.Time) time.Duration {
	if from.IsZero() {
		return 0
	}
	return now.Sub(from)
}

// decide remembers a verdict, for reports.
func (m *Memory) decide(file string, v liveness.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.traces[file]; t != nil {
		t.verdict = v
	}
}

// verdict returns the last verdict on a ticket; false if there was none.
func (m *Memory) verdict(file string) (v liveness.Verdict, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.traces[file]
	if t == nil || t.verdict.Reason == "" {
		return v, false
	}
	return t.verdict, true
}

// aMoment is for how long what was seen of a ticket is taken for granted.
const aMoment = 50 * time.Millisecond

// moment is aMoment, but for tests.
var moment = aMoment

// lately returns the last verdict on a ticket, if it was reached a moment ago.
func (m *Memory) lately(file string) (v liveness.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.traces[file]
	if t == nil {
		return v
	}
	if ago := time.Since(t.lastSeen); ago < 0 || ago > moment {
		return v
	}
	return t.verdict
}

// ask reports whether a call about the ticket may be made, of which there is to
// be one at a time, since it may never be answered. Who made it calls answered.
func (m *Memory) ask(file string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asking[file] || len(m.asking) >= mostUnanswered {
		return false
	}
	if m.asking == nil {
		m.asking = map[string]bool{}
	}
	m.asking[file] = true
	return true
}

// mostUnanswered is how many calls of one lock may be waiting for a server.
const mostUnanswered = 4

func (m *Memory) answered(file string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.asking, file)
}
