package passage

import (
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// TestBubbleTimes: a bubble of testing/synctest has a clock of its own, and what was
// timed by that says nothing outside: a lease would have run out decades ago.
func TestBubbleTimes(t *testing.T) {
	var m Memory
	note := func() time.Duration {
		return m.note("ticket", ticket.Name{}, &ticketdir.Probe{Entry: free, Witness: free}, true).StillFor
	}
	synctest.Test(t, func(t *testing.T) {
		require.Zero(t, note())
		time.Sleep(time.Hour)
		require.Equal(t, time.Hour, note())
	})
	require.Less(t, note(), time.Minute)
	synctest.Test(t, func(t *testing.T) { require.Zero(t, note()) })
}

// TestNote: what is remembered between the looks at one ticket, by our own
// monotonic clock.
func TestNote(t *testing.T) {
	type look struct {
		after          time.Duration // the look before
		entry, witness liveness.Lock
		number         int64
		accessed       int64
		changed        int64
		head           bool
		// What is known after it.
		free, headed, still time.Duration
	}
	const sec = time.Second
	tests := []struct {
		name  string
		looks []look
	}{
		{"free since the first look", []look{
			{entry: free, witness: free},
			{after: sec, entry: free, witness: free, free: sec, still: sec},
			{after: sec, entry: free, witness: free, free: 2 * sec, still: 2 * sec},
		}},
		{"the witness was held meanwhile", []look{
			{entry: free, witness: free},
			{after: sec, entry: free, witness: held, still: sec},
			{after: sec, entry: free, witness: free, still: 2 * sec},
			{after: sec, entry: free, witness: free, free: sec, still: 3 * sec},
		}},
		{"the entry was held meanwhile", []look{
			{entry: free, witness: free},
			{after: sec, entry: held, witness: free, still: sec},
			{after: sec, entry: free, witness: free, still: 2 * sec},
		}},
		{"the witness was not seen meanwhile, which is no proof", []look{
			{entry: free, witness: free},
			{after: sec, entry: free, witness: unseen, still: sec},
			{after: sec, entry: free, witness: free, still: 2 * sec},
		}},
		{"the entry was not seen meanwhile", []look{
			{entry: free, witness: free},
			{after: sec, entry: unseen, witness: free, still: sec},
			{after: sec, entry: free, witness: free, still: 2 * sec},
		}},
		{"it moved, so it lived", []look{
			{entry: free, witness: free, number: 1, head: true},
			{after: sec, entry: free, witness: free, number: 2, head: true},
			{after: sec, entry: free, witness: free, number: 2, head: true, free: sec, headed: sec, still: sec},
			{after: sec, entry: free, witness: free, number: 1, head: true},
		}},
		{"at the head", []look{
			{entry: free, witness: held},
			{after: sec, entry: free, witness: held, head: true, still: sec},
			{after: sec, entry: free, witness: held, head: true, headed: sec, still: 2 * sec},
			{after: sec, entry: free, witness: free, head: true, headed: 2 * sec, still: 3 * sec},
			{after: sec, entry: free, witness: held, head: true, headed: 3 * sec, still: 4 * sec},
		}},
		{"at the head, as not every look knows", []look{
			{entry: free, witness: held, head: true},
			{after: sec, entry: free, witness: held, headed: sec, still: sec},
			{after: sec, entry: free, witness: held, head: true, headed: 2 * sec, still: 2 * sec},
		}},
		{"inside, and back", []look{
			{entry: free, witness: held, head: true},
			{after: sec, entry: held, witness: held, head: true, still: sec},
			{after: sec, entry: free, witness: held, head: true, still: 2 * sec},
			{after: sec, entry: free, witness: held, head: true, headed: sec, still: 3 * sec},
		}},
		{"at the head, and its entry is not seen", []look{
			{entry: unseen, witness: held, head: true},
			{after: sec, entry: unseen, witness: held, head: true, still: sec},
		}},
		{"renewed by its access time", []look{
			{accessed: 1},
			{after: sec, accessed: 1, still: sec},
			{after: sec, accessed: 2},
			{after: sec, accessed: 2, still: sec},
		}},
		{"renewed by its change time", []look{
			{accessed: 1, changed: 1},
			{after: sec, accessed: 1, changed: 2},
			{after: sec, accessed: 1, changed: 2, still: sec},
		}},
		{"a renewal does not make the locks other than free", []look{
			{entry: free, witness: free, head: true, accessed: 1},
			{after: sec, entry: free, witness: free, head: true, accessed: 2, free: sec, headed: sec},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				name := ticket.Name{Host: "web", PID: 7}
				var m Memory
				for i, l := range tt.looks {
					time.Sleep(l.after)
					// Another ticket's traces are its own.
					m.note("another", name, &ticketdir.Probe{Entry: held, Number: queue.Number{Sec: int64(i)}}, false)
					probe := ticketdir.Probe{
						Entry: l.entry, Witness: l.witness, Number: queue.Number{Sec: l.number},
						Beat: ticketdir.Beat{Accessed: queue.Number{Sec: l.accessed}, Changed: queue.Number{Sec: l.changed}},
					}
					require.Equal(t, liveness.Evidence{
						Name: name, Entry: l.entry, Witness: l.witness,
						FreeFor: l.free, HeadFor: l.headed, StillFor: l.still,
					}, m.note("file", name, &probe, l.head), "look %d", i+1)
				}
			})
		})
	}
}

func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		require.Zero(t, m.age("file"), "new")
		time.Sleep(time.Second)
		m.note("file", ticket.Name{}, &ticketdir.Probe{Number: queue.Number{Sec: 1}}, false)
		require.Equal(t, time.Second, m.age("file"), "a look that tells of changes makes it no younger")
		require.Zero(t, m.age("another"))
		m.forget("file")
		require.Zero(t, m.age("file"))
	})
}

func TestVerdict(t *testing.T) {
	alive := liveness.Verdict{State: liveness.Alive, Reason: "it runs"}
	var m Memory
	m.decide("file", alive)
	_, ok := m.verdict("file")
	require.False(t, ok, "there is nothing to be said of what was never looked at")
	m.age("file")
	_, ok = m.verdict("file")
	require.False(t, ok, "nor without a verdict")
	m.decide("file", alive)
	v, ok := m.verdict("file")
	require.True(t, ok)
	require.Equal(t, alive, v)
	m.decide("file", liveness.Verdict{State: liveness.Dead, Reason: "it is gone"})
	v, _ = m.verdict("file")
	require.Equal(t, liveness.Dead, v.State, "the last one counts")
	m.forget("file")
	_, ok = m.verdict("file")
	require.False(t, ok)
}

// TestAskMemory: of the calls that may never be answered there is one a ticket,
// and a few in all. They are as many when their tickets are forgotten meanwhile.
func TestAskMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		file := func(i int) string { return "file" + strconv.Itoa(i) }
		for i := range mostUnanswered {
			require.True(t, m.ask(file(i)))
			require.False(t, m.ask(file(i)), "it is asked about already")
		}
		require.False(t, m.ask("one more"))
		m.forget(file(0))
		require.False(t, m.ask(file(0)), "the call goes on, whether or not the ticket is there")
		require.False(t, m.ask("one more"))
		time.Sleep(2 * oldAfter)
		for i := range 2 * pruneFrom {
			m.age("newcomer" + strconv.Itoa(i))
		}
		require.False(t, m.ask("one more"), "it goes on however long ago it began")

		m.answered(file(0))
		require.True(t, m.ask("one more"))
		require.False(t, m.ask("and another"))
		m.answered("never asked")
		require.False(t, m.ask("and another"))
		for i := range mostUnanswered {
			m.answered(file(i))
		}
		require.True(t, m.ask(file(1)), "an answer makes room for the next question")
	})
}

// TestMemoryIsBounded: traces do not grow without bound, and those in use stay.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const minutes, perMinute = 200, 50
		// What was seen within oldAfter stays, and as much again may await the
		// next time that anything is forgotten.
		limit := 2 * perMinute * int(oldAfter/time.Minute+2)
		var m Memory
		most := 0
		for minute := range minutes {
			for i := range perMinute {
				m.age(strconv.Itoa(minute) + "/" + strconv.Itoa(i))
				most = max(most, len(m.traces))
			}
			require.Equal(t, time.Duration(minute)*time.Minute, m.age("watched"), "who is looked at is not forgotten")
			time.Sleep(time.Minute)
		}
		t.Logf("%d tickets seen, %d traces at the most", minutes*perMinute, most)
		require.LessOrEqual(t, most, limit)
	})
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		for i := range pruneFrom - 1 {
			m.age(strconv.Itoa(i))
			time.Sleep(oldAfter)
		}
		require.Len(t, m.traces, pruneFrom-1, "a few are kept whatever their age")
		require.Equal(t, (pruneFrom-1)*oldAfter, m.age("0"))
	})
}

// TestMemoryIsShared by all goroutines that contend for one lock.
func TestMemoryIsShared(t *testing.T) {
	var m Memory
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				file := strconv.Itoa(i % 7)
				m.note(file, ticket.Name{}, &ticketdir.Probe{Entry: free}, true)
				m.decide(file, liveness.Verdict{Reason: "seen"})
				m.verdict(file)
				if m.ask(file) {
					m.answered(file)
				}
				m.age(file)
				m.forget(file)
			}
		})
	}
	all.Wait()
	require.Empty(t, m.asking)
}
