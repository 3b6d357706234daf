package passage

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// examine returns an examiner of these tickets. Where one kernel sees all,
// locks tell, but of owners that have none.
func examine(oneKernel bool, tickets map[string]*fakeTicket) *examiner {
	v := &fakeView{oneKernel: oneKernel, tells: oneKernel, tickets: tickets}
	return &examiner{
		view: v, queue: &testQueue, memory: &Memory{}, thorough: true, mayArrive: (&Site{}).mayArrive(),
		apart: func() (view, func(), error) { return v, func() {}, nil },
	}
}

// locked is what a look at a ticket's locks finds.
func locked(entry, witness liveness.Lock) ticketdir.Probe {
	return ticketdir.Probe{Entry: entry, Witness: witness, Number: queue.Number{Sec: 1}}
}

func nameless(p ticketdir.Probe) ticketdir.Probe {
	p.Nameless = true
	return p
}

func marked(p ticketdir.Probe) ticketdir.Probe {
	p.Marked = true
	return p
}

// TestLookNear: where one kernel sees everything, every ticket is opened.
func TestLookNear(t *testing.T) {
	n := &names{self: identity(t)}
	const (
		isGone  = "pid 4194305 is gone"
		doorway = "its witness is not held; it may be about to take it"
		swept   = "; its ticket was removed by somebody else"
	)
	tests := []struct {
		name   string
		ticket string
		is     *fakeTicket // nil: it is not there
		calls  []string
		want   exam
		reason string
		err    error
		open   bool // it is left open, for the caller to close
	}{
		{"inside", n.lives(), &fakeTicket{probe: locked(held, held)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Inside}}, "entry held", nil, true},
		{"inside, by an heir", n.ended(), &fakeTicket{probe: locked(held, held)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Inside}}, "entry held by an heir; pid 4194305 is gone", nil, true},
		{"waits", n.lives(), &fakeTicket{probe: locked(free, held)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Alive}}, "waits: witness held", nil, true},
		{"in its doorway", n.lives(), &fakeTicket{probe: locked(free, free)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Unknown}, doorway: true}, doorway, nil, true},
		{"in its doorway, of another pid space", n.foreign(), &fakeTicket{probe: locked(free, free)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Unknown}, doorway: true}, doorway, nil, true},
		{"rests", n.lives(), &fakeTicket{probe: marked(locked(free, free))}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Resting}, doorway: true}, "", nil, true},
		{"rested, and is inside again", n.lives(), &fakeTicket{probe: marked(locked(held, held))}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Inside}}, "entry held", nil, true},
		{"rests no more: swept", n.lives(), &fakeTicket{probe: nameless(marked(locked(free, free)))}, []string{"open", "look"},
			exam{gone: true}, "", nil, true},
		{"gone", n.ended(), &fakeTicket{probe: locked(free, free)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Dead, Gone: true}, doorway: true}, isGone, nil, true},
		{"its owner has no locks, runs", n.lives(nowhere), &fakeTicket{probe: locked(free, free)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Alive}}, "", nil, true},
		{"its owner has no locks, gone", n.ended(nowhere), &fakeTicket{probe: locked(free, free)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Dead, Gone: true}}, isGone, nil, true},
		{"plain", prefix + "elsewhere.7.token.pid", &fakeTicket{probe: locked(free, free)}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Unknown}}, "a plain ticket of another host, elsewhere", nil, true},

		{"not for us to read", n.lives(), &fakeTicket{openErr: fs.ErrPermission}, []string{"open", "stat"},
			exam{verdict: liveness.Verdict{State: liveness.Unknown}}, "its locks cannot be seen", nil, false},
		{"not for us to read, gone: an heir may be inside", n.ended(), &fakeTicket{openErr: fs.ErrPermission}, []string{"open", "stat"},
			exam{verdict: liveness.Verdict{State: liveness.Unknown}}, "its locks cannot be seen", nil, false},
		{"not for us to read, nor there any more", n.ended(), &fakeTicket{openErr: fs.ErrPermission, statErr: fs.ErrNotExist}, []string{"open", "stat"},
			exam{gone: true}, "", nil, false},
		{"not for us to read, and no stat", n.ended(), &fakeTicket{openErr: fs.ErrPermission, statErr: syscall.EIO}, []string{"open", "stat"},
			exam{}, "", syscall.EIO, false},

		{"not there", n.lives(), nil, nil, exam{gone: true}, "", nil, false},
		{"removed between open and look", n.lives(), &fakeTicket{lookErr: fs.ErrNotExist}, []string{"open", "look"},
			exam{gone: true}, "", nil, true},
		{"no descriptors", n.ended(), &fakeTicket{openErr: syscall.EMFILE}, []string{"open"},
			exam{}, "", syscall.EMFILE, false},
		{"an error", n.ended(), &fakeTicket{lookErr: syscall.EIO}, []string{"open", "look"},
			exam{}, "", syscall.EIO, true},

		{"swept, inside", n.lives(), &fakeTicket{probe: nameless(locked(held, held))}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Inside}, nameless: true}, "entry held" + swept, nil, true},
		{"swept, waits", n.lives(), &fakeTicket{probe: nameless(locked(free, held))}, []string{"open", "look"},
			exam{verdict: liveness.Verdict{State: liveness.Alive}, nameless: true}, "waits: witness held" + swept, nil, true},
		{"swept, free", n.lives(), &fakeTicket{probe: nameless(locked(free, free))}, []string{"open", "look"},
			exam{gone: true}, "", nil, true},
		{"swept, entry not to be seen", n.lives(), &fakeTicket{probe: nameless(locked(unseen, unseen))}, []string{"open", "look"},
			exam{gone: true}, "", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := examine(true, map[string]*fakeTicket{})
			if tt.is != nil {
				x.view.(*fakeView).tickets[tt.ticket] = tt.is
			}
			e, err := x.look(queue.Ticket{Name: tt.ticket}, nil, false)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want.verdict.State, e.verdict.State)
			require.Equal(t, tt.want.verdict.Gone, e.verdict.Gone)
			require.Equal(t, tt.want.gone, e.gone)
			require.Equal(t, tt.want.nameless, e.nameless)
			require.Equal(t, tt.want.doorway, e.doorway)
			if tt.reason != "" {
				require.Equal(t, tt.reason, e.verdict.Reason)
			}
			require.Equal(t, tt.open, e.other != nil)
			if tt.is != nil {
				require.Equal(t, tt.calls, tt.is.told())
			}
			if e.other != nil {
				require.Equal(t, 1, tt.is.opened())
				e.other.Close()
			}
			if tt.is != nil {
				require.Zero(t, tt.is.opened())
			}

			// What a report says of it later.
			v, ok := x.memory.verdict(tt.ticket)
			require.Equal(t, !e.gone, ok)
			switch {
			case err != nil:
				require.Equal(t, liveness.Verdict{Reason: err.Error()}, v, "it is there, and blocks")
			case ok:
				require.Equal(t, e.verdict, v)
			}
		})
	}
}

// TestLookAtNewcomers: of one who came at about the same time as we did, its process
// is not asked for; but whoever rests does not come.
func TestLookAtNewcomers(t *testing.T) {
	n := &names{self: identity(t)}
	own := queue.Number{Sec: 1}
	for name, tt := range map[string]struct {
		is      ticketdir.Probe
		arrived bool
		want    liveness.State
	}{
		"in its doorway": {locked(free, free), true, liveness.Unknown},
		"waits":          {locked(free, held), false, liveness.Alive},
		"inside":         {locked(held, held), false, liveness.Inside},
		"rests":          {marked(locked(free, free)), false, liveness.Resting},
	} {
		t.Run(name, func(t *testing.T) {
			ticket := n.lives()
			x := examine(true, map[string]*fakeTicket{ticket: {probe: tt.is}})
			x.beside, x.thorough = &own, false
			e, err := x.look(queue.Ticket{Name: ticket, Number: own}, nil, false)
			require.NoError(t, err)
			require.Equal(t, tt.arrived, e.arrived)
			require.Equal(t, tt.want, e.verdict.State)
			e.close()
		})
	}
}

// TestLookFar: where other kernels take part, a ticket is opened only if that
// decides: its process is ours to ask for, and gone.
func TestLookFar(t *testing.T) {
	n := &names{self: identity(t)}
	stat, ask := []string{"stat"}, []string{"stat", "open", "look"}
	const isGone = "pid 4194305 is gone"
	tests := []struct {
		name   string
		ticket string
		is     *fakeTicket
		calls  []string
		state  liveness.State
		reason string
		err    error
	}{
		{"runs", n.lives(), &fakeTicket{probe: locked(free, free)}, stat, liveness.Alive, "", nil},
		{"of another pid space", n.foreign(), &fakeTicket{probe: locked(free, free)}, stat, liveness.Unknown, "it is of another host or another pid namespace, and locks tell nothing here", nil},
		{"of a clone", n.ended(func(name *ticket.Name) { name.Host = "elsewhere" }), &fakeTicket{}, stat, liveness.Unknown, "it is of another host or another pid namespace, and locks tell nothing here", nil},
		{"gone", n.ended(), &fakeTicket{probe: locked(unseen, free)}, ask, liveness.Dead, isGone, nil},
		{"gone, and an heir has its witness", n.ended(), &fakeTicket{probe: locked(unseen, held)}, ask, liveness.Alive, "witness held", nil},
		{"gone, and its witness is not to be seen", n.ended(), &fakeTicket{probe: locked(free, unseen)}, ask, liveness.Unknown, "its locks cannot be seen", nil},
		{"gone, and not for us to read", n.ended(), &fakeTicket{openErr: fs.ErrPermission}, []string{"stat", "open"}, liveness.Unknown, "its locks cannot be seen", nil},
		{"gone, and its look fails", n.ended(), &fakeTicket{probe: locked(free, free), lookErr: syscall.EIO}, ask, liveness.Unknown, "its locks cannot be seen", nil},
		{"gone, and had no locks", n.ended(nowhere), &fakeTicket{probe: locked(free, held)}, stat, liveness.Dead, isGone, nil},
		{"plain", prefix + "elsewhere.7.token.pid", &fakeTicket{}, stat, liveness.Unknown, "a plain ticket of another host, elsewhere", nil},
		{"an error", n.ended(), &fakeTicket{statErr: syscall.EIO}, stat, liveness.Unknown, "", syscall.EIO},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := examine(false, map[string]*fakeTicket{tt.ticket: tt.is})
			e, err := x.look(queue.Ticket{Name: tt.ticket}, nil, true)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.calls, tt.is.told())
			require.Equal(t, tt.state, e.verdict.State)
			if tt.reason != "" {
				require.Equal(t, tt.reason, e.verdict.Reason)
			}
			require.False(t, e.gone)
			require.Nil(t, e.other, "nothing stays open")
			require.Zero(t, tt.is.opened())
		})
	}
	t.Run("not there", func(t *testing.T) {
		e, err := examine(false, nil).look(queue.Ticket{Name: n.ended()}, nil, true)
		require.NoError(t, err)
		require.True(t, e.gone)
	})
	t.Run("plain, of this host, gone", func(t *testing.T) {
		if !n.self.InitialPIDs {
			t.Skip("a container's pids")
		}
		name := prefix + n.self.Host + ".4194305.token.pid"
		is := &fakeTicket{}
		e, err := examine(false, map[string]*fakeTicket{name: is}).look(queue.Ticket{Name: name}, nil, true)
		require.NoError(t, err)
		require.Equal(t, liveness.Dead, e.verdict.State)
		require.Equal(t, stat, is.told(), "it has no witness to ask for")
	})
}

// TestDoorwayFar: nothing shows there that a doorway is over, but that a ticket
// has been known for longer than any takes.
func TestDoorwayFar(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		name := n.foreign()
		x := examine(false, map[string]*fakeTicket{name: {}})
		doorway := func() bool {
			e, err := x.look(queue.Ticket{Name: name}, nil, true)
			require.NoError(t, err)
			return e.doorway
		}
		require.True(t, doorway())
		time.Sleep(liveness.Grace - 1)
		require.True(t, doorway())
		time.Sleep(time.Nanosecond)
		require.False(t, doorway())
	})
	// Where it took us longer, it may take others longer, too.
	var slow Site
	slow.doorway.Store(int64(800 * time.Millisecond))
	require.Equal(t, 2400*time.Millisecond, slow.mayArrive())
	slow.doorway.Store(int64(time.Minute))
	require.Equal(t, longestArrival, slow.mayArrive())
	slow.doorway.Store(int64(time.Millisecond))
	require.Equal(t, liveness.Grace, slow.mayArrive())
}

// TestLookRaises: a number is the highest that was seen of it.
func TestLookRaises(t *testing.T) {
	n := &names{self: identity(t)}
	for _, oneKernel := range []bool{true, false} {
		for _, tt := range []struct{ listed, found, want int64 }{{5, 7, 7}, {5, 3, 5}, {5, 5, 5}} {
			name := n.lives()
			is := &fakeTicket{probe: ticketdir.Probe{Number: queue.Number{Sec: tt.found}}}
			e, err := examine(oneKernel, map[string]*fakeTicket{name: is}).
				look(queue.Ticket{Name: name, Number: queue.Number{Sec: tt.listed}}, nil, false)
			require.NoError(t, err)
			require.Equal(t, queue.Ticket{Name: name, Number: queue.Number{Sec: tt.want}}, e.ticket)
		}
	}
}

// TestLookUsesWhatIsOpen: its entry lock tells even if it has no name any more.
func TestLookUsesWhatIsOpen(t *testing.T) {
	n := &names{self: identity(t)}
	name := n.lives()
	is := &fakeTicket{probe: nameless(locked(held, held))}
	e, err := examine(true, nil).look(queue.Ticket{Name: name}, &fakeOther{is, name}, false)
	require.NoError(t, err)
	require.Equal(t, liveness.Inside, e.verdict.State)
	require.Equal(t, []string{"look"}, is.told())
}

// TestFiles: a ticket that could not be opened is none at all.
func TestFiles(t *testing.T) {
	o, err := files{&fakeDir{}}.OpenOther("ticket")
	require.ErrorIs(t, err, fs.ErrPermission)
	require.True(t, o == nil, "a nil pointer in an interface would be one that is open")
}

// TestProofsGoOn: what one attempt began to prove the next one finishes, if it
// has the same memory.
func TestProofsGoOn(t *testing.T) {
	n := &names{self: identity(t)}
	tests := []struct {
		name    string
		ticket  string
		probe   ticketdir.Probe
		takes   time.Duration
		before  liveness.State
		after   liveness.State
		expired bool
	}{
		{"free", n.foreign(), locked(free, free), liveness.Grace, liveness.Unknown, liveness.Dead, false},
		{"at the head", n.foreign(), locked(free, held), liveness.StallGrace, liveness.Alive, liveness.Stalled, false},
		{"its lease", n.foreign(withLease), locked(held, held), liveness.Expiry(testLease) + 1, liveness.Inside, liveness.Dead, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var memory Memory
				tickets := map[string]*fakeTicket{tt.ticket: {probe: tt.probe}}
				look := func(memory *Memory) liveness.Verdict {
					x := examine(true, tickets)
					x.memory = memory
					e, err := x.look(queue.Ticket{Name: tt.ticket}, nil, true)
					require.NoError(t, err)
					e.other.Close()
					return e.verdict
				}
				require.Equal(t, tt.before, look(&memory).State)
				time.Sleep(tt.takes - 1)
				require.Equal(t, tt.before, look(&memory).State, "too soon")
				time.Sleep(time.Nanosecond)
				v := look(&memory)
				require.Equal(t, tt.after, v.State)
				require.Equal(t, tt.expired, v.Expired)
				require.Equal(t, tt.before, look(&Memory{}).State, "who remembers nothing begins anew")
			})
		})
	}
}

// TestLeaseFar: a lease is judged by its beat alone, and no server is asked.
func TestLeaseFar(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		name := n.foreign(withLease)
		is := &fakeTicket{probe: locked(unseen, held)}
		x := examine(false, map[string]*fakeTicket{name: is})
		state := func() liveness.State {
			e, err := x.look(queue.Ticket{Name: name}, nil, false)
			require.NoError(t, err)
			return e.verdict.State
		}
		for range 10 {
			is.probe.Beat.Accessed.Sec++
			require.Equal(t, liveness.Unknown, state(), "renewed")
			time.Sleep(testLease)
		}
		time.Sleep(liveness.Expiry(testLease) - testLease)
		require.Equal(t, liveness.Unknown, state(), "the margin")
		time.Sleep(time.Nanosecond)
		require.Equal(t, liveness.Dead, state())
		is.probe.Beat.Changed.Sec++
		require.Equal(t, liveness.Unknown, state(), "it goes on after all")
		require.NotContains(t, is.told(), "open")
	})
}

// TestUnanswered: a call that a server does not answer costs its patience once,
// and is not made again as long as it goes on.
func TestUnanswered(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		name := n.ended()
		is := &fakeTicket{probe: locked(unseen, free), hang: make(chan struct{})}
		x := examine(false, map[string]*fakeTicket{name: is})
		look := func() (exam, time.Duration) {
			began := time.Now()
			e, err := x.look(queue.Ticket{Name: name}, nil, false)
			require.NoError(t, err)
			return e, time.Since(began)
		}
		e, took := look()
		require.Equal(t, answerPatience, took)
		require.Equal(t, liveness.Unknown, e.verdict.State, "without an answer, nobody is dead")
		require.Equal(t, []string{"stat", "open"}, is.told())
		for range 3 {
			time.Sleep(time.Hour)
			e, took = look()
			require.Zero(t, took)
			require.Equal(t, liveness.Unknown, e.verdict.State)
			require.Equal(t, []string{"stat"}, is.told())
		}

		close(is.hang)
		synctest.Wait()
		require.Equal(t, []string{"look"}, is.told(), "the answer, which comes too late")
		require.Zero(t, is.opened(), "what was opened is closed, whenever that was")
		e, took = look()
		require.Zero(t, took)
		require.Equal(t, liveness.Dead, e.verdict.State, "the next look asks again")
	})
}

// TestMostUnanswered: of however many tickets, a few are asked about.
func TestMostUnanswered(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		tickets := map[string]*fakeTicket{}
		x := examine(false, tickets)
		var order []string
		for range 3 * mostUnanswered {
			name := n.ended()
			order = append(order, name)
			tickets[name] = &fakeTicket{probe: locked(unseen, free), hang: hang}
		}
		all := func() (dead int) {
			for _, name := range order {
				e, err := x.look(queue.Ticket{Name: name}, nil, false)
				require.NoError(t, err)
				if e.verdict.State == liveness.Dead {
					dead++
				}
			}
			return dead
		}
		began := time.Now()
		require.Zero(t, all())
		require.Equal(t, mostUnanswered*answerPatience, time.Since(began))
		for i, name := range order {
			if i < mostUnanswered {
				require.Equal(t, []string{"stat", "open"}, tickets[name].told())
			} else {
				require.Equal(t, []string{"stat"}, tickets[name].told())
			}
		}
		close(hang)
		synctest.Wait()
		require.Equal(t, len(order), all())
	})
}

// TestRemove: a ticket is removed under its entry lock, so that whoever is inside
// stays there; but not one whose lease ran out, and that agreed to it.
func TestRemove(t *testing.T) {
	n := &names{self: identity(t)}
	tests := []struct {
		name      string
		oneKernel bool
		expired   bool
		err       error
		calls     []string
	}{
		{"near", true, false, nil, []string{"reclaim"}},
		{"near, refused", true, false, ticketdir.ErrInside, []string{"reclaim"}},
		{"near, lease ran out", true, true, nil, []string{"remove"}},
		{"near, lease ran out, not for us to remove", true, true, fs.ErrPermission, []string{"remove"}},
		{"far", false, false, nil, []string{"remove"}},
		{"far, lease ran out", false, true, nil, []string{"remove"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				name := n.ended(withLease)
				is := &fakeTicket{probe: locked(free, free), removeErr: tt.err}
				x := examine(tt.oneKernel, map[string]*fakeTicket{name: is})
				x.memory.note(name, ticket.Name{}, &is.probe, false)
				if tt.expired {
					time.Sleep(liveness.Expiry(testLease) + 1)
				}
				e, err := x.look(queue.Ticket{Name: name}, nil, false)
				require.NoError(t, err)
				require.Equal(t, liveness.Dead, e.verdict.State)
				require.Equal(t, tt.expired, e.verdict.Expired)
				is.told()
				require.ErrorIs(t, x.remove(&e), tt.err)
				require.Equal(t, tt.calls, is.told())
				_, known := x.memory.verdict(name)
				require.Equal(t, tt.err != nil, known, "what is removed is forgotten, and nothing else")
			})
		})
	}
}

// TestReclaim: a ticket that cannot be removed is passed by only if its process is
// proven gone and nobody is inside with it, as a child that inherited its locks is.
func TestReclaim(t *testing.T) {
	n := &names{self: identity(t)}
	for name, tt := range map[string]struct {
		err   error
		gone  bool
		is    *fakeTicket
		aside bool
	}{
		"removed":                            {nil, false, &fakeTicket{}, true},
		"gone, and nobody is inside":         {fs.ErrPermission, true, &fakeTicket{entered: []bool{false}}, true},
		"gone, and somebody is inside":       {ticketdir.ErrInside, true, &fakeTicket{entered: []bool{true}}, false},
		"gone, and who is inside is unknown": {fs.ErrPermission, true, &fakeTicket{enteredErr: fs.ErrInvalid}, false},
		"not proven gone":                    {fs.ErrPermission, false, &fakeTicket{entered: []bool{false}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			is := tt.is
			is.probe, is.removeErr = locked(free, free), tt.err
			ticket := n.ended()
			x := examine(true, map[string]*fakeTicket{ticket: is})
			e, err := x.look(queue.Ticket{Name: ticket}, nil, false)
			require.NoError(t, err)
			require.True(t, e.tells)
			e.verdict = liveness.Verdict{State: liveness.Dead, Gone: tt.gone}
			p := &Passage{cfg: &Config{Queue: testQueue, Site: &Site{}}}
			require.Equal(t, tt.aside, p.reclaim(x, &e))
		})
	}
}

// TestGoneIsForgotten: names are never used again.
func TestGoneIsForgotten(t *testing.T) {
	n := &names{self: identity(t)}
	for _, oneKernel := range []bool{true, false} {
		name := n.lives()
		x := examine(oneKernel, nil)
		x.memory.age(name)
		x.memory.decide(name, liveness.Verdict{Reason: "seen before"})
		e, err := x.look(queue.Ticket{Name: name}, nil, false)
		require.NoError(t, err)
		require.True(t, e.gone)
		_, known := x.memory.verdict(name)
		require.False(t, known)
	}
}

// TestContender: what reports say of an examined ticket.
func TestContender(t *testing.T) {
	n := &names{self: identity(t)}
	x := examine(true, nil)
	contender := func(name string, v liveness.Verdict) turn.Contender {
		e := exam{ticket: queue.Ticket{Name: name, Number: queue.Number{Sec: 7, Nsec: 8}}, verdict: v}
		e.name, _ = ticket.Parse(prefix, name)
		return x.contender(&e)
	}
	name := n.lives(withLease, func(name *ticket.Name) { name.Shared = true })
	require.Equal(t, turn.Contender{
		ID: filepath.Join(testQueue.Dir, name), Host: n.self.Host, PID: n.self.PID, Self: true,
		Queued: time.Unix(7, 8), Shared: true, Lease: testLease, State: turn.Inside, Reason: "why",
		Reachable: true, Start: n.self.Start,
	}, contender(name, liveness.Verdict{State: liveness.Inside, Reason: "why"}))

	other := contender(n.ended(), liveness.Verdict{})
	require.True(t, other.Reachable)
	require.False(t, other.Self)
	other = contender(n.foreign(), liveness.Verdict{})
	require.False(t, other.Reachable, "its pid means nothing here")
	require.False(t, other.Self, "the same pid of another pid space")
	other = contender(n.lives(func(name *ticket.Name) { name.Start++ }), liveness.Verdict{})
	require.False(t, other.Self, "another process that had this pid")

	for from, to := range map[liveness.State]turn.State{
		liveness.Unknown: turn.Unknown, liveness.Alive: turn.Alive, liveness.Inside: turn.Inside,
		liveness.Stalled: turn.Stalled, liveness.Dead: turn.Dead,
	} {
		require.Equal(t, to, contender(name, liveness.Verdict{State: from}).State)
	}
}

// TestKept: what is kept is open as long as it is in one of the two places.
func TestKept(t *testing.T) {
	a, b := &fakeTicket{open: 1}, &fakeTicket{open: 1}
	first, second := &fakeOther{a, "a"}, &fakeOther{b, "b"}
	var k kept
	require.Nil(t, k.find("a"))
	k.put(&k.watched, first)
	k.put(&k.watched, first)
	k.put(&k.inside, first)
	require.Equal(t, 1, a.opened())
	require.True(t, k.has(first))
	require.False(t, k.has(second))
	require.False(t, k.has(nil))
	k.put(&k.watched, second)
	require.Equal(t, 1, a.opened(), "it is kept in the other place")
	require.Equal(t, other(first), k.find("a"))
	require.Equal(t, other(second), k.find("b"))
	k.close()
	require.Zero(t, a.opened())
	require.Zero(t, b.opened())
	require.Nil(t, k.find("a"))
	k.close()
}

// TestSweptWaiter: one that waits and has lost its name by others stands in the
// way for the grace, in which the sweeper comes to the others.
func TestSweptWaiter(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		swept := queue.Ticket{Name: n.lives()}
		x := examine(true, map[string]*fakeTicket{swept.Name: {probe: nameless(locked(free, held))}})
		for _, gone := range []bool{false, true} {
			e, err := x.look(swept, nil, false)
			require.NoError(t, err)
			require.Equal(t, gone, e.gone)
			time.Sleep(liveness.Grace)
		}
	})
}

// TestAwaitSwept: whoever is inside is waited for by its entry lock, if its name
// was swept away. One that newcomers can see is not.
func TestAwaitSwept(t *testing.T) {
	in := &fakeTicket{probe: nameless(locked(held, held))}
	named := &fakeTicket{probe: locked(held, held)}
	left := &fakeTicket{probe: nameless(locked(free, held))}
	tests := []struct {
		name  string
		k     kept
		swept bool
	}{
		{"nothing", kept{}, false},
		{"inside, and has a name", kept{inside: &fakeOther{named, "in"}, watched: &fakeOther{named, "watched"}}, false},
		{"left", kept{inside: &fakeOther{left, "in"}, watched: &fakeOther{left, "watched"}}, false},
		{"inside", kept{inside: &fakeOther{in, "in"}, watched: &fakeOther{left, "watched"}}, true},
		{"inside, and watched", kept{watched: &fakeOther{in, "watched"}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				swept, err := tt.k.swept()
				require.NoError(t, err)
				require.Equal(t, tt.swept, swept)
				if err := tt.k.awaitSwept(ctx); tt.swept {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				} else {
					require.NoError(t, err)
				}
			})
		})
	}
	broken := errors.New("no locks")
	k := kept{watched: &fakeOther{&fakeTicket{lookErr: broken}, "watched"}}
	require.ErrorIs(t, k.awaitSwept(t.Context()), broken, "in doubt it is inside")
}

// TestKeptOverARestart: of those that were kept, who is inside stays.
func TestKeptOverARestart(t *testing.T) {
	for _, inside := range []bool{true, false} {
		was, watched := &fakeTicket{open: 1}, &fakeTicket{open: 1, entered: []bool{inside}}
		k := kept{inside: &fakeOther{was, "was"}, watched: &fakeOther{watched, "watched"}}
		k.leave()
		require.Nil(t, k.watched)
		if inside {
			require.Equal(t, "watched", k.inside.Name())
			require.Zero(t, was.opened())
		} else {
			require.Equal(t, "was", k.inside.Name())
			require.Zero(t, watched.opened())
		}
		k.leave()
	}
}

// TestNamelessUnseen: whoever was inside counts as inside when its ticket has no
// name any more and its locks cannot be seen; where they never could be, the
// ticket is gone with its name.
func TestNamelessUnseen(t *testing.T) {
	n := &names{self: identity(t)}
	name := n.lives()
	f := &fakeTicket{probe: locked(held, held)}
	x := examine(true, map[string]*fakeTicket{name: f})
	look := func(p ticketdir.Probe) (exam, error) {
		f.probe = p
		e, err := x.look(queue.Ticket{Name: name}, nil, true)
		if e.other != nil {
			e.other.Close()
		}
		return e, err
	}
	e, err := look(nameless(locked(unseen, unseen)))
	require.NoError(t, err)
	require.True(t, e.gone)

	_, err = look(locked(held, held))
	require.NoError(t, err)
	for range 2 { // which does not make it forget
		e, err = look(nameless(locked(unseen, unseen)))
		require.ErrorIs(t, err, errUnseen)
		require.False(t, e.gone)
	}
	e, err = look(nameless(locked(held, held)))
	require.NoError(t, err)
	require.Equal(t, liveness.Inside, e.verdict.State)
	e, err = look(nameless(locked(free, unseen)))
	require.NoError(t, err)
	require.True(t, e.gone)
}
