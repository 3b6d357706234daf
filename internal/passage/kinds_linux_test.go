package passage

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// kinds returns what the readers and the writers of one process have, which has used
// the lock before.
func (ps processes) kinds() (reader, writer *Config) {
	writer = ps.process()
	reader = new(Config)
	*reader = *writer
	reader.Queue.Shared = true
	reader.Queue.Prepare()
	return reader, writer
}

func (ps processes) reader() *Config {
	reader, _ := ps.kinds()
	return reader
}

// enter has a passage of cfg come in.
func (ps processes) enter(cfg *Config) *Passage {
	ps.t.Helper()
	p := ps.join(cfg)
	ctx, cancel := context.WithTimeout(ps.t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(ps.t, p.Wait(ctx))
	return p
}

// names returns the tickets that are in the queue.
func (ps processes) names() (all []ticket.Name) {
	ps.t.Helper()
	files, err := os.ReadDir(ps.dir)
	require.NoError(ps.t, err)
	for _, f := range files {
		n, ok := ticket.Parse(ticket.Prefix("target"), f.Name())
		require.True(ps.t, ok, f.Name())
		all = append(all, n)
	}
	return all
}

// TestNotStalledBehindReaders: neither the writer that waits for a reader who is
// inside is taken for one who does not take its turn, though it is the lowest that a
// later reader waits for, nor those readers.
func TestNotStalledBehindReaders(t *testing.T) {
	t.Parallel()
	ps := realQueue(t)
	r1, w1, r2, r3, w2 := ps.reader(), ps.process(), ps.reader(), ps.reader(), ps.process()
	first := ps.enter(r1)
	pw := ps.join(w1)
	written := ps.wait(pw)
	late := []*Passage{ps.join(r2), ps.join(r3)}
	var read []<-chan error
	for _, p := range late {
		read = append(read, ps.wait(p))
	}
	last := ps.join(w2)
	lastly := ps.wait(last)
	own := pw.contender.Own().Name
	time.Sleep(liveness.StallGrace + 4*patrolInterval)
	for _, p := range append(late, pw, last) {
		require.Equal(t, turn.Alive, ps.queued(p))
	}
	require.Equal(t, turn.Inside, ps.queued(first))
	require.NoError(t, first.Leave())
	require.NoError(t, <-written)
	require.Equal(t, own, pw.contender.Own().Name, "it was robbed of its place")
	require.NoError(t, pw.Leave())
	for i, p := range late {
		require.NoError(t, <-read[i])
		require.NoError(t, p.Leave())
	}
	require.NoError(t, <-lastly)
	require.NoError(t, last.Leave())
}

// TestStalledReader: of several readers whose turn it is, one that does not come in is
// passed while others are inside, and not only then when these have left.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	ps := realQueue(t)
	w1, r1, r2, w2 := ps.process(), ps.reader(), ps.reader(), ps.process()
	writer := ps.enter(w1)
	inside, stalled := ps.join(r1), ps.join(r2)
	entered := ps.wait(inside)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- stalled.Wait(ctx) }()
	require.Eventually(t, func() bool { return ps.queued(stalled) == turn.Alive }, 5*time.Second, time.Millisecond)
	cancel() // its place is kept
	require.ErrorIs(t, <-gaveUp, context.Canceled)

	next := ps.join(w2)
	written := ps.wait(next)
	require.NoError(t, writer.Leave())
	require.NoError(t, <-entered)
	require.Eventually(t, func() bool {
		for _, n := range ps.names() {
			if own, _ := ticket.Parse(ticket.Prefix("target"), stalled.contender.Own().Name); n.Nonce == own.Nonce {
				return false
			}
		}
		return true
	}, liveness.StallGrace+8*patrolInterval, 10*time.Millisecond)
	require.Equal(t, turn.Inside, ps.queued(inside))
	require.NoError(t, inside.Leave())
	require.NoError(t, <-written)
	require.ErrorIs(t, stalled.contender.Wait(t.Context()), queue.ErrGone)
	require.NoError(t, next.Leave())
	require.NoError(t, stalled.Leave())
}

// TestRestServesItsKind: a ticket that rests is no use to a passage of the other kind,
// which removes it and takes one of its own.
func TestRestServesItsKind(t *testing.T) {
	ps := realQueue(t)
	reader, writer := ps.kinds()
	observe := func(e turn.Event) { require.NotEqual(t, turn.Reclaimed, e.Step, "it is ours to remove") }
	reader.Observe, writer.Observe = observe, observe
	for _, tt := range []struct {
		cfg *Config
		now int // how many tickets are there after it
	}{
		{reader, 1},
		{reader, 1},
		{writer, 0}, // it does without a rest after this
		{writer, 1},
		{writer, 1},
	} {
		p := ps.enter(tt.cfg)
		names := ps.names()
		require.Len(t, names, 1)
		require.Equal(t, tt.cfg.Queue.Shared, names[0].Shared)
		require.NoError(t, p.Leave())
		require.Len(t, ps.names(), tt.now)
	}
}

// TestReadersRestTogether: readers are alone among readers. Each comes back to its own
// ticket where it is, and a writer that comes removes them all.
func TestReadersRestTogether(t *testing.T) {
	ps := realQueue(t)
	writer := ps.process()
	cfgs := []*Config{ps.reader(), ps.reader(), ps.reader()}
	pass := func() (tickets []queue.Ticket) {
		var inside []*Passage
		for _, cfg := range cfgs {
			inside = append(inside, ps.enter(cfg))
		}
		for _, p := range inside {
			tickets = append(tickets, p.contender.Own())
			require.NoError(t, p.Leave())
		}
		return tickets
	}
	before := pass()
	require.Eventually(t, func() bool {
		now := pass()
		same := now[0] == before[0] && now[1] == before[1] && now[2] == before[2]
		before = now
		return same
	}, 5*time.Second, time.Millisecond, "in the end they stay as they are")
	require.Len(t, ps.names(), 3)
	for range 10 {
		require.Equal(t, before, pass())
	}

	p := ps.enter(writer)
	require.Len(t, ps.names(), 1)
	read := ps.join(cfgs[0])
	done := ps.wait(read)
	require.NotEqual(t, before[0].Name, read.contender.Own().Name)
	require.NoError(t, p.Leave())
	require.NoError(t, <-done)
	require.NoError(t, read.Leave())
}

// TestWriterBehindReaders wakes when the last of them leaves, and not once for each:
// as long as the nearest is inside the others are not looked at.
func TestWriterBehindReaders(t *testing.T) {
	ps := realQueue(t)
	cfg := ps.process()
	var cfgs []*Config
	for range 2 * many {
		cfgs = append(cfgs, ps.reader())
	}
	var readers []*Passage
	for _, reader := range cfgs {
		readers = append(readers, ps.enter(reader))
	}
	var looks atomic.Int64
	was := Open
	defer func() { Open = was }()
	Open = func(q *ticketdir.Queue, after TicketDir) TicketDir { return &countedDir{was(q, after), &looks} }
	pw := ps.join(cfg)
	written := ps.wait(pw)
	require.Eventually(t, func() bool { return ps.queued(pw) == turn.Alive }, 5*time.Second, time.Millisecond)
	nearest := readers[len(readers)-1]
	for _, p := range readers[:len(readers)-1] {
		require.NoError(t, p.Leave())
	}
	time.Sleep(10 * time.Millisecond) // long enough to be woken, were it to be
	require.Zero(t, looks.Load())
	require.NoError(t, nearest.Leave())
	require.NoError(t, <-written)
	require.NoError(t, pw.Leave())
	require.LessOrEqual(t, looks.Load(), int64(1))
}

// countedDir counts the listings of hand-offs.
type countedDir struct {
	TicketDir
	remaining *atomic.Int64
}

func (d *countedDir) Remaining(ts []queue.Ticket) ([]queue.Ticket, error) {
	d.remaining.Add(1)
	return d.TicketDir.Remaining(ts)
}
