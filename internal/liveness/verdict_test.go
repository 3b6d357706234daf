package liveness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/ticket"
)

// here is who judges in these tests: a process of a machine's own pid namespace.
var here = Identity{
	RawHost: "web.example.org", Host: "web_example_org", PID: 100, Start: 5000,
	PIDSpace: ticket.HashOf("here"), InitialPIDs: true,
}

// ours is a ticket of another process of the same pid namespace.
var ours = ticket.Name{Host: here.Host, PID: 200, Start: 6000, PIDSpace: here.PIDSpace, Place: 5}

// edit returns an altered copy of a ticket.
func edit(n ticket.Name, alter func(*ticket.Name)) ticket.Name {
	alter(&n)
	return n
}

const testLease = 2 * time.Second

var (
	// container's pids are not ours to ask for.
	container = edit(ours, func(n *ticket.Name) { n.PID, n.PIDSpace = 1, ticket.HashOf("there") })
	// unspaced does not say whose pids it speaks of.
	unspaced = edit(ours, func(n *ticket.Name) { n.PIDSpace = 0 })
	// clone is of a machine that has our boot id and another name.
	clone  = edit(ours, func(n *ticket.Name) { n.Host = "web2_example_org" })
	leased = edit(ours, func(n *ticket.Name) { n.Lease = testLease })
	plain  = ticket.Name{Host: here.RawHost, PID: 200, Plain: true, Token: "tok"}
)

// near is what a look finds where locks tell.
func near(entry, witness Lock) Evidence {
	return Evidence{Entry: entry, Witness: witness, Tells: true, Readable: true, Thorough: true}
}

// far is what it finds where they do not.
func far(entry, witness Lock) Evidence {
	return Evidence{Entry: entry, Witness: witness, Readable: true, Thorough: true}
}

func headFor(d time.Duration, e Evidence) Evidence  { e.HeadFor = d; return e }
func freeFor(d time.Duration, e Evidence) Evidence  { e.FreeFor = d; return e }
func stillFor(d time.Duration, e Evidence) Evidence { e.StillFor = d; return e }
func marked(e Evidence) Evidence                    { e.Marked = true; return e }
func brief(e Evidence) Evidence                     { e.Thorough = false; return e }
func unreadable(e Evidence) Evidence                { e.Readable = false; return e }

// never: the process table must not be asked.
const never = Process(-1)

func inside(reason string) Verdict  { return Verdict{State: Inside, Reason: reason} }
func alive(reason string) Verdict   { return Verdict{State: Alive, Reason: reason} }
func stalled(reason string) Verdict { return Verdict{State: Stalled, Reason: reason} }
func resting(reason string) Verdict { return Verdict{State: Resting, Reason: reason} }
func unknown(reason string) Verdict { return Verdict{State: Unknown, Reason: reason} }

// missing is a verdict by the process table: there is proof.
func missing(reason string) Verdict { return Verdict{State: Dead, Gone: true, Reason: reason} }

// forgotten is a verdict by free locks, which only the removal proves.
func forgotten(reason string) Verdict { return Verdict{State: Dead, Reason: reason} }

func expired(reason string) Verdict {
	return Verdict{State: Dead, Gone: true, Expired: true, Reason: reason}
}

// TestJudge has every row of the table of evidence, and around each the cases
// that differ from it in one thing.
func TestJudge(t *testing.T) {
	const (
		waits   = "waits: witness held"
		itsTurn = "waits: witness held; it is its turn"
		doorway = "its witness is not held; it may be about to take it"
		blind   = "its locks could not be looked at"
		shut    = "its locks cannot be seen"
		heir    = "entry held by an heir; pid 200 is gone"
		gone    = "pid 200 is gone"
		zombie  = "pid 200 has ended and is not reaped yet"
		another = "pid 200 is another process by now"
		rests   = "nobody holds the lock; its owner keeps the ticket for a while"
		foreign = "it is of another host or another pid namespace, and locks tell nothing here"
	)
	tests := []struct {
		name    string
		n       ticket.Name
		e       Evidence // but for the name
		process Process  // what the process table says
		want    Verdict
	}{
		// Entry held: nobody but a lease's end gets it out.
		{"inside, runs", ours, near(Held, Held), ProcessRuns, inside("entry held")},
		{"inside, stopped", ours, near(Held, Held), ProcessStopped, inside("entry held; the process is stopped")},
		{"inside, gone", ours, near(Held, Held), ProcessGone, inside(heir)},
		{"inside, zombie", ours, near(Held, Held), ProcessZombie, inside(heir)},
		{"inside, another process", ours, near(Held, Held), ProcessOther, inside(heir)},
		{"inside, hidden", ours, near(Held, Held), ProcessHidden, inside("entry held")},
		{"inside, nothing known", ours, near(Held, Held), ProcessUnknown, inside("entry held")},
		{"inside, of a container", container, near(Held, Held), never, inside("entry held")},
		{"inside, witness free", ours, near(Held, Free), ProcessGone, inside(heir)},
		{"inside, witness unseen", ours, near(Held, Unseen), ProcessGone, inside(heir)},
		{"inside, locks do not tell", ours, far(Held, Held), ProcessGone, inside(heir)},
		{"inside, unreadable", ours, unreadable(near(Held, Held)), ProcessGone, inside(heir)},
		{"inside for long", ours, headFor(time.Hour, freeFor(time.Hour, near(Held, Held))), ProcessStopped, inside("entry held; the process is stopped")},
		{"inside, plain", plain, near(Held, Held), never, inside("entry held")},
		{"inside, lease in time", leased, stillFor(Expiry(testLease), near(Held, Held)), ProcessRuns, inside("entry held")},
		{"inside, lease ran out", leased, stillFor(Expiry(testLease)+1, near(Held, Held)), never, expired("its lease of 2s was not renewed for 3.5s")},

		// It rests, whatever its witness says; the mark stays while it is inside.
		{"rests", ours, marked(near(Free, Free)), ProcessRuns, resting(rests)},
		{"rests, witness held", ours, marked(near(Free, Held)), ProcessRuns, resting(rests)},
		{"rests, stopped", ours, marked(headFor(StallGrace, near(Free, Held))), ProcessStopped, resting(rests)},
		{"rests, of a container", container, marked(near(Free, Free)), never, resting(rests)},
		{"rests, the process is not asked for", ours, brief(marked(near(Free, Free))), never, resting(rests)},
		{"left at rest", ours, marked(near(Free, Free)), ProcessGone, missing(gone)},
		{"left at rest by a zombie", ours, marked(near(Free, Free)), ProcessZombie, missing(zombie)},
		{"marked, inside", ours, marked(near(Held, Held)), ProcessRuns, inside("entry held")},
		{"marked, locks do not tell", ours, marked(far(Free, Held)), never, alive("witness held")},
		{"marked, entry unseen", ours, marked(near(Unseen, Unseen)), never, unknown(blind)},
		{"marked, unreadable", ours, marked(unreadable(near(Unseen, Unseen))), never, unknown(shut)},

		// It waits. At the head it has to go in before long.
		{"waits", ours, near(Free, Held), never, alive(waits)},
		{"waits, of a container", container, near(Free, Held), never, alive(waits)},
		{"waits, free for long", ours, freeFor(time.Hour, near(Free, Held)), never, alive(waits)},
		{"waits, too early to ask", ours, headFor(Grace-1, near(Free, Held)), never, alive(waits)},
		{"at the head, stopped", ours, headFor(Grace, near(Free, Held)), ProcessStopped, stalled("pid 200 is stopped, and it was its turn for 1s")},
		{"at the head, runs", ours, headFor(Grace, near(Free, Held)), ProcessRuns, alive(itsTurn)},
		{"at the head, gone with an heir", ours, headFor(Grace, near(Free, Held)), ProcessGone, alive(itsTurn)},
		{"at the head, zombie", ours, headFor(Grace, near(Free, Held)), ProcessZombie, alive(itsTurn)},
		{"at the head, another process", ours, headFor(Grace, near(Free, Held)), ProcessOther, alive(itsTurn)},
		{"at the head, hidden", ours, headFor(Grace, near(Free, Held)), ProcessHidden, alive(itsTurn)},
		{"at the head, nothing known", ours, headFor(Grace, near(Free, Held)), ProcessUnknown, alive(itsTurn)},
		{"at the head, of a container", container, headFor(Grace, near(Free, Held)), never, alive(itsTurn)},
		{"nearly stalled", ours, headFor(StallGrace-1, near(Free, Held)), ProcessRuns, alive(itsTurn)},
		{"stalled", ours, headFor(StallGrace, near(Free, Held)), ProcessRuns, stalled("it did not take its turn for 5s")},
		{"stalled and stopped", ours, headFor(StallGrace, near(Free, Held)), ProcessStopped, stalled("pid 200 is stopped, and it was its turn for 5s")},
		{"stalled, gone with an heir", ours, headFor(StallGrace, near(Free, Held)), ProcessGone, stalled("it did not take its turn for 5s")},
		{"nearly stalled, of a container", container, headFor(StallGrace-1, near(Free, Held)), never, alive(itsTurn)},
		{"stalled, of a container", container, headFor(StallGrace, near(Free, Held)), never, stalled("it did not take its turn for 5s")},
		{"at the head, locks do not tell", ours, headFor(time.Hour, far(Free, Held)), never, alive("witness held")},
		{"at the head, entry unseen", ours, headFor(time.Hour, near(Unseen, Held)), never, alive("witness held")},
		{"waits, lease in time", leased, stillFor(Expiry(testLease), near(Free, Held)), never, alive(waits)},
		{"waits, lease ran out", leased, stillFor(Expiry(testLease)+1, near(Free, Held)), never, expired("its lease of 2s was not renewed for 3.5s")},

		// Nobody has its locks.
		{"free, gone", ours, near(Free, Free), ProcessGone, missing(gone)},
		{"free, zombie", ours, near(Free, Free), ProcessZombie, missing(zombie)},
		{"free, another process", ours, near(Free, Free), ProcessOther, missing(another)},
		{"free for long, gone", ours, freeFor(time.Hour, near(Free, Free)), ProcessGone, missing(gone)},
		{"free, runs", ours, near(Free, Free), ProcessRuns, unknown(doorway)},
		{"free, stopped", ours, freeFor(Grace-1, near(Free, Free)), ProcessStopped, unknown(doorway)},
		{"free, hidden", ours, freeFor(Grace-1, near(Free, Free)), ProcessHidden, unknown(doorway)},
		{"free, nothing known", ours, freeFor(Grace-1, near(Free, Free)), ProcessUnknown, unknown(doorway)},
		{"free, runs, nearly the grace", ours, freeFor(Grace-1, near(Free, Free)), ProcessRuns, unknown(doorway)},
		{"free for the grace, runs", ours, freeFor(Grace, near(Free, Free)), ProcessRuns, forgotten("nobody has held its locks for 1s")},
		{"free for the grace, stopped", ours, freeFor(Grace, near(Free, Free)), ProcessStopped, forgotten("nobody has held its locks for 1s")},
		{"free for the grace, hidden", ours, freeFor(Grace, near(Free, Free)), ProcessHidden, forgotten("nobody has held its locks for 1s")},
		{"free for the grace, nothing known", ours, freeFor(Grace, near(Free, Free)), ProcessUnknown, forgotten("nobody has held its locks for 1s")},
		{"free, of a container", container, near(Free, Free), never, unknown(doorway)},
		{"free, of a container, nearly the grace", container, freeFor(Grace-1, near(Free, Free)), never, unknown(doorway)},
		{"free, of a container, for the grace", container, freeFor(Grace, near(Free, Free)), never, forgotten("nobody has held its locks for 1s")},
		{"free, no pid space, for the grace", unspaced, freeFor(Grace, near(Free, Free)), never, forgotten("nobody has held its locks for 1s")},
		{"free at the head for long", ours, headFor(time.Hour, near(Free, Free)), ProcessRuns, unknown(doorway)},
		{"free, lease in time, gone", leased, near(Free, Free), ProcessGone, missing(gone)},
		{"free, lease ran out", leased, stillFor(time.Hour, near(Free, Free)), never, expired("its lease of 2s was not renewed for 1h0m0s")},

		// What was not seen is not known: an heir may be inside.
		{"witness unseen, gone", ours, freeFor(time.Hour, near(Free, Unseen)), never, unknown(blind)},
		{"entry unseen, gone", ours, freeFor(time.Hour, near(Unseen, Free)), never, unknown(blind)},
		{"both unseen, gone", ours, near(Unseen, Unseen), never, unknown(blind)},
		{"unreadable, gone", ours, unreadable(near(Unseen, Unseen)), never, unknown(shut)},
		{"unreadable, gone, locks do not tell", ours, unreadable(far(Unseen, Unseen)), never, unknown(shut)},
		{"unreadable, of a container", container, unreadable(near(Unseen, Unseen)), never, unknown(shut)},
		{"unreadable for long", ours, unreadable(headFor(time.Hour, freeFor(time.Hour, near(Unseen, Unseen)))), never, unknown(shut)},
		{"unreadable, lease ran out", leased, unreadable(stillFor(time.Hour, near(Unseen, Unseen))), never, expired("its lease of 2s was not renewed for 1h0m0s")},

		// Locks do not tell, and the process table is all there is.
		{"far, witness held", ours, far(Unseen, Held), never, alive("witness held")},
		{"far, witness held, of a container", container, far(Unseen, Held), never, alive("witness held")},
		{"far, gone", ours, far(Unseen, Unseen), ProcessGone, missing(gone)},
		{"far, zombie", ours, far(Unseen, Unseen), ProcessZombie, missing(zombie)},
		{"far, another process", ours, far(Unseen, Unseen), ProcessOther, missing(another)},
		{"far, runs", ours, far(Unseen, Unseen), ProcessRuns, alive("pid 200 runs")},
		{"far, stopped", ours, far(Unseen, Unseen), ProcessStopped, alive("pid 200 is stopped")},
		{"far, hidden", ours, far(Unseen, Unseen), ProcessHidden, alive("a process has pid 200; it is hidden from here")},
		{"far, nothing known", ours, far(Unseen, Unseen), ProcessUnknown, unknown("nothing can be learnt of pid 200")},
		{"far, free, gone", ours, far(Free, Free), ProcessGone, missing(gone)},
		{"far, free for long, runs", ours, freeFor(time.Hour, headFor(time.Hour, far(Free, Free))), ProcessRuns, alive("pid 200 runs")},
		{"far, free for long, stopped", ours, freeFor(time.Hour, headFor(time.Hour, far(Free, Free))), ProcessStopped, alive("pid 200 is stopped")},
		{"far, of a container", container, freeFor(time.Hour, far(Free, Free)), never, unknown(foreign)},
		{"far, no pid space", unspaced, far(Unseen, Unseen), never, unknown(foreign)},
		{"far, of a clone", clone, far(Unseen, Unseen), never, unknown(foreign)},
		{"far, still for long, no lease", container, stillFor(time.Hour, far(Unseen, Unseen)), never, unknown(foreign)},
		{"far, lease in time", edit(container, func(n *ticket.Name) { n.Lease = testLease }), stillFor(Expiry(testLease), far(Unseen, Unseen)), never, unknown(foreign)},
		{"far, lease ran out", edit(container, func(n *ticket.Name) { n.Lease = testLease }), stillFor(Expiry(testLease)+1, far(Unseen, Unseen)), never, expired("its lease of 2s was not renewed for 3.5s")},
		{"far, lease ran out, witness held", leased, stillFor(Expiry(testLease)+1, far(Unseen, Held)), never, expired("its lease of 2s was not renewed for 3.5s")},
		{"far, lease in time, gone", leased, far(Unseen, Unseen), ProcessGone, missing(gone)},

		// Plain tickets have a pid and a host name, and that is all.
		{"plain, gone", plain, near(Free, Free), ProcessGone, missing("a plain ticket, and pid 200 of this host is gone")},
		{"plain, our spelling, gone", edit(plain, func(n *ticket.Name) { n.Host = here.Host }), near(Free, Free), ProcessGone, missing("a plain ticket, and pid 200 of this host is gone")},
		{"plain, far, gone", plain, far(Unseen, Unseen), ProcessGone, missing("a plain ticket, and pid 200 of this host is gone")},
		{"plain, unreadable, gone", plain, unreadable(near(Unseen, Unseen)), ProcessGone, missing("a plain ticket, and pid 200 of this host is gone")},
		{"plain, free for long, runs", plain, freeFor(time.Hour, headFor(time.Hour, near(Free, Free))), ProcessRuns, alive("a plain ticket, and a process has pid 200")},
		{"plain, zombie", plain, near(Free, Free), ProcessZombie, alive("a plain ticket, and a process has pid 200")},
		{"plain, stopped", plain, headFor(time.Hour, near(Free, Held)), ProcessStopped, alive("a plain ticket, and a process has pid 200")},
		{"plain, hidden", plain, near(Free, Free), ProcessHidden, alive("a plain ticket, and a process has pid 200")},
		{"plain, nothing known", plain, near(Free, Free), ProcessUnknown, unknown("a plain ticket, and nothing can be learnt of pid 200")},
		{"plain, of another host", edit(plain, func(n *ticket.Name) { n.Host = "elsewhere" }), freeFor(time.Hour, near(Free, Free)), never, unknown("a plain ticket of another host, elsewhere")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := tt.e
			e.Name = tt.n
			asked := 0
			got := here.judge(e, func(pid int, start uint64) Process {
				asked++
				require.NotEqual(t, never, tt.process, "the process table tells nothing here")
				require.Equal(t, tt.n.PID, pid)
				require.Equal(t, tt.n.Start, start, "the start is compared wherever the ticket has one")
				return tt.process
			})
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want.State == Dead || tt.want.State == Stalled || tt.want.State == Resting, got.Removable())
			if tt.process != never {
				require.Equal(t, 1, asked)
			}
		})
	}
}

// TestPlainFromContainer: who sees only a container's pids cannot look for a
// plain ticket's, and must not try.
func TestPlainFromContainer(t *testing.T) {
	id := here
	id.InitialPIDs = false
	e := near(Free, Free)
	e.Name = plain
	got := id.judge(e, func(int, uint64) Process {
		require.Fail(t, "it names another process here")
		return ProcessGone
	})
	require.Equal(t, unknown("a plain ticket, and this process sees only a container's pids"), got)
}

// TestStartsAreNotComparedBlindly: one who cannot tell his own start in ticks
// since boot, for he is in a time namespace, cannot compare others' either.
func TestStartsAreNotComparedBlindly(t *testing.T) {
	id := here
	id.Start = 0
	asked := 0
	e := far(Unseen, Unseen)
	e.Name = ours
	got := id.judge(e, func(_ int, start uint64) Process {
		asked++
		require.Zero(t, start)
		return ProcessRuns
	})
	require.Equal(t, Alive, got.State)
	require.Equal(t, 1, asked)
}

// TestJudgeEverything crosses all kinds of evidence with each other, and has of
// each verdict what must be true whatever else is.
func TestJudgeEverything(t *testing.T) {
	locks := []Lock{Unseen, Free, Held}
	both := []bool{false, true}
	cases := 0
	check := func(e Evidence, process Process) {
		cases++
		asked := 0
		v := here.judge(e, func(int, uint64) Process { asked++; return process })
		name := e.Name
		ended := process == ProcessGone || process == ProcessZombie || process == ProcessOther
		ranOut := name.Lease > 0 && e.StillFor > Expiry(name.Lease)
		allow := func(ok bool, why string) {
			if !ok {
				t.Fatalf("%s: %+v, process %d: %+v, asked %d times", why, e, process, v, asked)
			}
		}
		allow(v.Reason != "", "every verdict has a reason")
		allow(asked <= 1, "the process table is asked once at most")
		allow(asked == 0 || name.Plain || name.PIDSpace == here.PIDSpace, "another pid namespace's pids mean nothing here")
		allow(v.Expired == ranOut, "a lease that ran out, and nothing else, is an agreement to be robbed")
		if ranOut {
			allow(v.State == Dead, "it has agreed")
			return
		}
		allow((v.State == Inside) == (e.Entry == Held), "the entry tells who is inside")
		allow(!v.Gone || ended && asked == 1, "proof comes from the process table")
		switch v.State {
		case Stalled:
			allow(e.Tells && !name.Plain && e.Entry == Free && e.Witness == Held && e.HeadFor >= Grace, "not stalled")
			allow(process == ProcessStopped || e.HeadFor >= StallGrace, "only who is stopped has less time")
		case Dead:
			byLocks := e.Tells && e.Entry == Free && e.Witness == Free
			byTable := !e.Tells && e.Readable && e.Witness != Held
			allow(name.Plain && process == ProcessGone || byLocks && (ended || e.FreeFor >= Grace) || byTable && ended, "not dead")
		}
		if e.Tells && !name.Plain && (e.Entry == Unseen || e.Witness == Unseen) {
			allow(!v.Removable(), "what was not seen is not known")
		}
	}
	for _, name := range []ticket.Name{ours, container, leased, plain} {
		for _, entry := range locks {
			for _, witness := range locks {
				for process := ProcessUnknown; process <= ProcessHidden; process++ {
					for _, head := range []time.Duration{0, Grace - 1, Grace, StallGrace - 1, StallGrace} {
						for _, free := range []time.Duration{0, Grace - 1, Grace} {
							for _, still := range []time.Duration{0, Expiry(testLease), Expiry(testLease) + 1} {
								for _, tells := range both {
									for _, readable := range both {
										check(Evidence{
											Name: name, Entry: entry, Witness: witness, Tells: tells, Readable: readable,
											FreeFor: free, HeadFor: head, StillFor: still,
										}, process)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d cases", cases)
}

// TestExpiry: a heartbeat may be late by a quarter of the lease, and a second
// more where only whole seconds are stored.
func TestExpiry(t *testing.T) {
	require.Equal(t, 2250*time.Millisecond, Expiry(time.Second))
	require.Equal(t, 76*time.Second, Expiry(time.Minute))
}
