package enginetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/engine"
)

// Seam is where Tickets makes its tickets.
type Seam struct {
	// NewEngine starts one more process, or what is one for the others.
	NewEngine func(t *testing.T) engine.Engine
	// NewName returns a name that no queue has had, without a slash at its end.
	NewName func(t *testing.T) string
	// Lease is asked for, and granted.
	Lease time.Duration
	// Run runs one test, as synctest.Test does; nil just calls it.
	Run func(t *testing.T, f func(*testing.T))
}

// Tickets runs the tests of what an engine promises to the library.
func Tickets(t *testing.T, s Seam) {
	for _, test := range []struct {
		name string
		run  func(seam)
	}{
		{"join and leave", joinAndLeave},
		{"try stores nothing", tryStoresNothing},
		{"shared", sharedTickets},
		{"shared tries", sharedTries},
		{"wait goes on", waitGoesOn},
		{"cancelled join", cancelledJoin},
		{"evict", evict},
		{"evict by serial", evictBySerial},
		{"two of one process", twoOfOne},
		{"swap", swap},
		{"tokens", tokens},
		{"names", names},
		{"identity", identity},
		{"leases end", leasesEnd},
	} {
		t.Run(test.name, func(t *testing.T) {
			run(t, s.Run, func(t *testing.T) { test.run(seam{T: t, Seam: s, name: s.NewName(t)}) })
		})
	}
}

// seam is one test's.
type seam struct {
	*testing.T
	Seam
	name string
}

func (s seam) queue(e engine.Engine, name string) engine.Queue {
	s.Helper()
	q, err := e.Open(name, engine.Options{Lease: s.Lease, Poll: time.Second, Label: "test"})
	require.NoError(s, err)
	return q
}

// ticket returns one of a process of its own.
func (s seam) ticket(shared bool) engine.Ticket {
	s.Helper()
	t := s.queue(s.NewEngine(s.T), s.name).New(shared)
	s.Cleanup(func() { _ = t.Leave(s.context()) })
	return t
}

func (s seam) context() context.Context { return table{T: s.T}.context() }

func (s seam) joined(shared bool) engine.Ticket {
	s.Helper()
	t := s.ticket(shared)
	s.join(t)
	return t
}

func (s seam) join(t engine.Ticket) {
	s.Helper()
	asked := time.Now()
	term, err := t.Join(s.context())
	require.NoError(s, err)
	require.Equal(s, s.Lease, term.Length)
	require.False(s, term.Since.After(time.Now()))
	require.WithinDuration(s, asked, term.Since, term.Length/2, "a lease that was used before is renewed first")
}

// entered requires that it is t's turn.
func (s seam) entered(t engine.Ticket) {
	s.Helper()
	require.NoError(s, t.Wait(s.context()))
	_, ahead := t.Ahead()
	require.Zero(s, ahead)
}

// waits requires that it is not t's turn.
func (s seam) waits(t engine.Ticket) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), mustBlock)
	defer cancel()
	require.ErrorIs(s, t.Wait(ctx), context.DeadlineExceeded)
}

func (s seam) left(t engine.Ticket) {
	s.Helper()
	require.NoError(s, t.Leave(s.context()))
}

func (s seam) list() []engine.Contender {
	s.Helper()
	all, err := s.queue(s.NewEngine(s.T), s.name).List(s.context())
	require.NoError(s, err)
	return all
}

func joinAndLeave(s seam) {
	a, b := s.joined(false), s.joined(false)
	require.Equal(s, "test", a.Self().Label)
	require.NotEmpty(s, a.Self().ID)
	require.NotEmpty(s, a.Self().Host)
	require.NotZero(s, a.Self().PID)
	s.entered(a)
	first, ahead := a.Ahead()
	require.Equal(s, a.Self().Serial, first.Serial)
	require.Zero(s, ahead)
	first, ahead = b.Ahead()
	require.Equal(s, a.Self().ID, first.ID)
	require.Equal(s, a.Self().Host, first.Host)
	require.Equal(s, 1, ahead)
	s.waits(b)
	all := s.list()
	require.Len(s, all, 2)
	for i, t := range []engine.Ticket{a, b} {
		c := t.Self()
		require.Equal(s, c.Serial, all[i].Serial)
		require.Equal(s, c.ID, all[i].ID)
		require.True(s, c.Queued.Equal(all[i].Queued))
		require.Equal(s, s.Lease, all[i].Lease)
		require.Greater(s, all[i].Left, time.Duration(0))
	}
	s.left(a)
	s.left(a)
	s.entered(b)
	s.entered(b)
	s.left(b)
	require.Empty(s, s.list())
}

func tryStoresNothing(s seam) {
	a, b := s.ticket(false), s.ticket(false)
	term, err := a.Try(s.context())
	require.NoError(s, err)
	require.Equal(s, s.Lease, term.Length)
	s.entered(a)
	for range 3 {
		_, err = b.Try(s.context())
		require.ErrorIs(s, err, engine.ErrBusy)
		first, ahead := b.Ahead()
		require.Equal(s, a.Self().ID, first.ID)
		require.Equal(s, 1, ahead)
		require.Len(s, s.list(), 1)
	}
	s.left(a)
	_, err = b.Try(s.context())
	require.NoError(s, err)
}

// sharedTickets: readers are inside together, and nobody overtakes.
func sharedTickets(s seam) {
	r1, r2 := s.joined(true), s.joined(true)
	s.entered(r2)
	s.entered(r1)
	w := s.joined(false)
	r3 := s.joined(true)
	s.waits(w)
	s.waits(r3)
	s.left(r1)
	s.waits(w)
	s.left(r2)
	s.entered(w)
	s.waits(r3)
	s.left(w)
	s.entered(r3)
	require.True(s, s.list()[0].Shared)
}

func sharedTries(s seam) {
	r := s.joined(true)
	s.entered(r)
	reader := s.ticket(true)
	_, err := reader.Try(s.context())
	require.NoError(s, err)
	s.entered(reader)
	writer := s.ticket(false)
	_, err = writer.Try(s.context())
	require.ErrorIs(s, err, engine.ErrBusy)
	s.join(writer)
	late := s.ticket(true)
	_, err = late.Try(s.context())
	require.ErrorIs(s, err, engine.ErrBusy, "it would overtake a writer")
}

func waitGoesOn(s seam) {
	a, b := s.joined(false), s.joined(false)
	s.entered(a)
	for range 3 {
		s.waits(b)
	}
	s.left(a)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(s, b.Wait(ctx), context.Canceled)
	s.entered(b)
}

// cancelledJoin: whatever became of the requests, nothing is left for longer than a
// lease, and what is left is not renewed.
func cancelledJoin(s seam) {
	for i := range 10 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*100*time.Microsecond)
		t := s.ticket(false)
		_, err := t.Join(ctx)
		cancel()
		if err == nil {
			s.left(t)
			continue
		}
		require.ErrorIs(s, err, context.DeadlineExceeded)
		require.NoError(s, t.Leave(s.context()))
	}
	last := s.joined(false)
	began := time.Now()
	s.entered(last)
	require.Less(s, time.Since(began), s.Lease+2*time.Second)
}

func evict(s seam) {
	holder, waiter, last := s.joined(false), s.joined(false), s.joined(false)
	s.entered(holder)
	q := s.queue(s.NewEngine(s.T), s.name)
	all := s.list()
	waits := start(func() error { return waiter.Wait(s.context()) })
	require.NoError(s, q.Evict(s.context(), all[1]))
	require.ErrorIs(s, q.Evict(s.context(), all[1]), engine.ErrGone)
	require.NoError(s, q.Evict(s.context(), all[0]))
	require.ErrorIs(s, result(s, waits), engine.ErrGone)
	if gone := holder.Gone(); gone != nil {
		closed(s, gone, s.Lease)
	}
	s.entered(last)
	require.ErrorIs(s, holder.Leave(s.context()), engine.ErrGone)
	require.Len(s, s.list(), 1)
}

// evictBySerial: whoever has come back since the list was made is not the one that
// was listed, whatever it is called.
func evictBySerial(s seam) {
	e := s.NewEngine(s.T)
	q := s.queue(e, s.name)
	first := q.New(false)
	s.join(first)
	was := s.list()[0]
	s.left(first)
	second := q.New(false)
	s.join(second)
	defer s.left(second)
	require.ErrorIs(s, q.Evict(s.context(), was), engine.ErrGone)
	require.Len(s, s.list(), 1)
	s.entered(second)
	s.left(first) // that is over, and no other's
	require.Len(s, s.list(), 1)
	is := s.list()[0]
	is.ID += "x"
	require.ErrorIs(s, q.Evict(s.context(), is), engine.ErrGone)
}

// twoOfOne: the tickets of one process are as many contenders, each with a name.
func twoOfOne(s seam) {
	q := s.queue(s.NewEngine(s.T), s.name)
	a, b := q.New(false), q.New(false)
	s.join(a)
	s.join(b)
	all := s.list()
	require.Len(s, all, 2)
	require.NotEqual(s, all[0].ID, all[1].ID)
	require.NoError(s, q.Evict(s.context(), all[1]))
	s.entered(a)
	require.ErrorIs(s, b.Leave(s.context()), engine.ErrGone)
	s.left(a)
}

func swap(s seam) {
	e := s.NewEngine(s.T)
	q := s.queue(e, s.name)
	old := q.New(false)
	s.join(old)
	other := s.joined(false)
	next := q.New(false)
	swapper, ok := next.(engine.Swapper)
	if !ok {
		s.left(old)
		s.Skip("the engine cannot do it in one step")
	}
	_, err := swapper.JoinFor(s.context(), old)
	require.NoError(s, err)
	require.Len(s, s.list(), 2)
	s.entered(other)
	s.waits(next)
	s.left(old)
	s.left(other)
	s.entered(next)

	require.NoError(s, q.Evict(s.context(), next.Self()))
	after := q.New(false)
	_, err = after.(engine.Swapper).JoinFor(s.context(), next)
	require.ErrorIs(s, err, engine.ErrGone)
	require.Empty(s, s.list())
	require.ErrorIs(s, next.Leave(s.context()), engine.ErrGone)
}

func tokens(s seam) {
	e := s.NewEngine(s.T)
	var last uint64
	for range 5 {
		for _, from := range []engine.Engine{e, s.NewEngine(s.T)} {
			t := s.queue(from, s.name).New(false)
			require.Zero(s, t.Token())
			s.join(t)
			s.entered(t)
			require.Greater(s, t.Token(), last)
			last = t.Token()
			require.Less(s, last, uint64(1)<<48)
			s.left(t)
		}
	}
}

// names: no name is a part of another one, and all are allowed.
func names(s seam) {
	base := s.name
	for _, name := range []string{
		base + "/b", base + "/b/c", "/" + base, base + "x", base + "%2Fb", base + "%", base + " b", base + "\n",
		base + "\xff", base + "/ü", base + "/x-1", base + "/.." + "x", strings.ToUpper(base), base + strings.Repeat("y", 500), base,
	} {
		s.name = name
		t := s.ticket(false)
		_, err := t.Try(s.context())
		require.NoError(s, err, "%q", name)
		require.Len(s, s.list(), 1, "%q", name)
	}
}

func identity(s seam) {
	e, f := s.NewEngine(s.T), s.NewEngine(s.T)
	require.Equal(s, s.queue(e, s.name).ID(), s.queue(e, s.name).ID())
	require.NotEqual(s, s.queue(e, s.name).ID(), s.queue(f, s.name).ID())
	require.NotEqual(s, s.queue(e, s.name).ID(), s.queue(e, s.name+"x").ID())
}

// leasesEnd: a place lasts as long as it is renewed.
func leasesEnd(s seam) {
	a, b := s.joined(false), s.joined(false)
	s.entered(a)
	beats := time.NewTicker(s.Lease / 3)
	defer beats.Stop()
	for range 5 {
		<-beats.C
		require.NoError(s, a.Renew(s.context()))
		require.NoError(s, b.Renew(s.context()))
	}
	s.waits(b)
	began := time.Now()
	done := start(func() error { return b.Wait(s.context()) })
	var err error
	for ended := false; !ended; {
		select {
		case err = <-done:
			ended = true
		case <-beats.C:
			require.NoError(s, b.Renew(s.context()))
		}
	}
	require.NoError(s, err)
	require.Less(s, time.Since(began), s.Lease+2*time.Second)
	require.ErrorIs(s, a.Renew(s.context()), engine.ErrGone)
	if err := a.Leave(s.context()); !errors.Is(err, engine.ErrGone) {
		s.Errorf("left what was gone: %v", err)
	}
}
