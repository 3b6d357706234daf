package filelock_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/wake"
)

// What the lock may cost, in counts that are the same on every machine: calls
// from a ticket to its directory, and allocations. System calls are in
// counts_linux_test.go. Whoever makes it do with less lowers them. A call that
// is not named is not to be made.
var (
	// callsFree are of one hold that nobody else wants, exactly.
	callsFree = tally{"Create": 1, "List": 1, "Settle": 1, "Enter": 1, "Remove": 1}

	// callsFirstRest are of the second one, after which the ticket rests, and
	// callsRest of later ones.
	callsFirstRest = tally{"Create": 1, "Times": 4, "List": 2, "Settle": 1, "Enter": 1, "Rest": 1}
	callsRest      = tally{"Reenter": 1, "Times": 3, "Rest": 1}
	// callsFirstRestSlow are those of one that was kept from going on for some ticks of the
	// clock between its creation and its listing: it need not list again.
	callsFirstRestSlow = tally{"Create": 1, "Times": 3, "List": 1, "Settle": 1, "Enter": 1, "Rest": 1}

	// callsTurn are of one who takes turns with another one, from its arrival to
	// its release: it gets in line again with the ticket that it has, and knows the
	// other's, so that it looks at the number alone, before it waits and after. More is
	// for who waits for some milliseconds.
	callsTurn = tally{"Enter": 2, "Restamp": 2, "List": 1, "Settle": 1, "Stat": 3, "OpenOther": 1}

	// callsBehind are of one who waits behind a holder, from its arrival to
	// its release, and callsRaised of one who must raise its number too.
	// The ticket ahead stays open from the first look on.
	callsBehind = tally{"Create": 1, "List": 1, "Settle": 1, "OpenOther": 1, "Enter": 1, "Remove": 1}
	callsRaised = tally{
		"Create": 1, "List": 2, "Renumber": 1, "Announce": 1, "Settle": 1, "OpenOther": 1, "Enter": 1, "Remove": 1,
	}

	// callsArrival are of all the contenders of a row together when one more
	// arrives, however long the row; callsHandOff when the holder leaves and
	// the next one holds.
	callsArrival = tally{"Create": 1, "List": 2, "Renumber": 1, "Announce": 1, "Settle": 1, "OpenOther": 1}
	callsHandOff = tally{"Remove": 1, "Remaining": 1, "Enter": 1}
)

const (
	// strays is how many looks more a test makes now and then: those who share
	// an inotify instance may end each other's waits.
	strays = 3

	// allocsFree are of Acquire and Unlock where nobody else wants the lock,
	// allocsRest where the ticket rests besides, and allocsHandOff where one
	// goroutine hands it to the next.
	allocsFree    = 6
	allocsRest    = 1
	allocsHandOff = 1

	// settling is some ticks of the clock, after which the times of a directory tell.
	settling = 50 * time.Millisecond

	waiters   = 10
	rowLength = 40
)

// tally is how often each call was made.
type tally map[string]int

// minus returns what has been added since before.
func (y tally) minus(before tally) tally {
	more := maps.Clone(y)
	for call, n := range before {
		if more[call] -= n; more[call] == 0 {
			delete(more, call)
		}
	}
	return more
}

// times returns the calls of n who make these.
func (y tally) times(n int) tally {
	all := tally{}
	for call := range y {
		all[call] = n * y[call]
	}
	return all
}

// sum returns how many calls there were.
func (y tally) sum() (n int) {
	for _, calls := range y {
		n += calls
	}
	return n
}

// callCounter counts the calls from tickets to their directories.
type callCounter struct {
	mu    sync.Mutex
	calls map[int]tally // by contender, from the first on
}

// countCalls counts the calls of all tickets that are made from now on until
// the test ends.
func countCalls(t *testing.T) *callCounter {
	c := &callCounter{calls: map[int]tally{}}
	t.Cleanup(filelock.CountSteps(func(contender int, call string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.calls[contender] == nil {
			c.calls[contender] = tally{}
		}
		c.calls[contender][call]++
	}))
	return c
}

// of returns the calls of one contender.
func (c *callCounter) of(contender int) tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls[contender])
}

// all returns the calls of all contenders together.
func (c *callCounter) all() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := tally{}
	for _, calls := range c.calls {
		for call, n := range calls {
			sum[call] += n
		}
	}
	return sum
}

// looks counts the looks at others' tickets, of either kind.
func (c *callCounter) looks() int {
	all := c.all()
	return all["OpenOther"] + all["Stat"]
}

// requireAtMost fails if there were more calls than times the limit.
func requireAtMost(t testing.TB, limit tally, times int, got tally) {
	t.Helper()
	for call, n := range got {
		most := times * limit[call]
		if most > 0 && (call == "OpenOther" || call == "Stat") {
			most += strays
		}
		require.LessOrEqual(t, n, most, "%s, of %v", call, got)
	}
}

// TestEveryCallIsTold: what follows counts all the calls that look at the
// directory or change it. The others ask for what is known, are for where other
// kernels take part, or are not of an acquisition.
func TestEveryCallIsTold(t *testing.T) {
	require.ElementsMatch(t, []string{
		"Again", "Beat", "Entries", "MayRest", "Name", "OneKernel", "Quit", "ReclaimAtRest", "RemoveDead", "Settled", "Shared", "Stat", "Tells",
		"Tidied",
	}, filelock.UntoldCalls())
}

// TestCallsOfFreeLock: nobody is looked at, raised, told or asked for.
func TestCallsOfFreeLock(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		calls := countCalls(t)
		l := newLock(t, filepath.Join(dir, "target"), filelock.WithLinger(0))
		for hold := range 3 {
			require.NoError(t, l.Acquire(context.Background()))
			require.NoError(t, l.Unlock())
			require.Equal(t, callsFree, calls.of(hold), "if it is less, lower the limit")
		}
	})
}

// TestCallsOfRestingLock: who comes back to its ticket creates and lists nothing,
// once the directory has been left alone for some ticks of the clock.
func TestCallsOfRestingLock(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		requireRest(t, dir)
		calls := countCalls(t)
		l := newLock(t, filepath.Join(dir, "target"), filelock.WithLinger(time.Hour))
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		pass := func() {
			require.NoError(t, l.Acquire(context.Background()))
			require.NoError(t, l.Unlock())
		}
		pass()
		require.Equal(t, callsFree, calls.of(0), "the first one leaves nothing")
		pass()
		requireFirstRest(t, calls.of(1))
		eventually(t, "the directory's times to settle", func() bool {
			before := calls.of(1)
			pass()
			return maps.Equal(callsRest, calls.of(1).minus(before))
		})
		before := calls.of(1)
		for range waiters {
			pass()
		}
		require.Equal(t, waiters, calls.of(1)["Reenter"]-before["Reenter"])
		require.Equal(t, callsRest.times(waiters), calls.of(1).minus(before), "if it is less, lower the limit")
	})
}

// TestCallsOfTurns: two who take turns make no tickets, and look at each other once.
func TestCallsOfTurns(t *testing.T) {
	requireTold(t)
	onEach(t, func(t *testing.T, dir string) {
		requireRest(t, dir)
		calls := countCalls(t)
		r := &row{t: t, path: filepath.Join(dir, "target")}
		r.join(filelock.WithLinger(time.Hour))
		r.holds(0)
		r.join(filelock.WithLinger(time.Hour))
		calls.waits(t, 1)
		turn := func() {
			for holder, next := range []int{1, 0} {
				r.leaves(holder)
				r.holds(next)
				looks := calls.looks()
				r.again(holder)
				eventually(t, "its first look", func() bool { return calls.looks() > looks })
			}
		}
		turn() // from here on they may rest
		turn()
		before := calls.all()
		for range waiters {
			turn()
		}
		made := calls.all().minus(before)
		t.Logf("%d turns: %v", 2*waiters, made)
		requireAtMost(t, callsTurn, 2*waiters, made)
		require.Zero(t, made["Create"]+made["Remove"])
		r.leaves(0)
		r.holds(1)
		r.leaves(1)
		for _, l := range r.locks {
			require.NoError(t, l.Close())
		}
		requireNoTickets(t, dir)
	})
}

// row are contenders with a ticket each, one behind the other. They do not
// look at the clock: what they do, they do because they were told.
type row struct {
	t     *testing.T
	path  string
	locks []*filelock.FileLock
	held  []<-chan error
}

// newRow returns a row of one, who holds the lock, with a number that is so far
// from now: those who come later must raise theirs, or none needs to.
func newRow(t *testing.T, path string, from time.Duration) *row {
	t.Helper()
	r := &row{t: t, path: path}
	r.join()
	r.holds(0)
	own := tickets(t, filepath.Dir(path))
	require.Len(t, own, 1)
	number := time.Now().Add(from)
	require.NoError(t, os.Chtimes(filepath.Join(filepath.Dir(path), own[0]), number, number))
	return r
}

// join has one more contender get in line.
func (r *row) join(opts ...filelock.Option) {
	r.t.Helper()
	l := newLock(r.t, r.path, append([]filelock.Option{filelock.WithLinger(0), filelock.WithPollInterval(time.Hour)}, opts...)...)
	l.OwnLine()
	r.locks = append(r.locks, l)
	r.held = append(r.held, nil)
	r.again(len(r.locks) - 1)
}

// again has contender i get in line once more.
func (r *row) again(i int) {
	l := r.locks[i]
	r.held[i] = start(func() error { return l.Acquire(r.t.Context()) })
}

// holds waits until contender i holds the lock.
func (r *row) holds(i int) {
	r.t.Helper()
	require.NoError(r.t, result(r.t, r.held[i]))
}

// leaves has contender i give the lock back.
func (r *row) leaves(i int) {
	r.t.Helper()
	require.NoError(r.t, r.locks[i].Unlock())
}

// waits waits until contender i has nothing more to do than to wait: it looks
// at the one ahead when it has set its watch.
func (c *callCounter) waits(t *testing.T, i int) {
	t.Helper()
	eventually(t, "a contender's first look", func() bool { return c.of(i)["OpenOther"] > 0 })
}

// toldOfChanges reports whether the kernel tells this process of changes, and
// if so has it do that until stop is called. A user has only so many inotify
// instances, and other programs may have them all: then waiters go by the clock.
func toldOfChanges() (stop func(), told bool) {
	self, err := os.Executable()
	if err != nil {
		return nil, false
	}
	w := wake.New(self, time.Hour, true) // its instance is the one that all waiters use
	return w.Stop, !w.Blind()
}

const byTheClock = "how often a waiter looks depends on the clock, since the kernel does not tell it of changes"

// requireTold skips where counts of looks would depend on the clock.
func requireTold(t *testing.T) {
	t.Helper()
	stop, told := toldOfChanges()
	if !told {
		t.Skip(byTheClock)
	}
	t.Cleanup(stop)
}

func TestCallsOfWaiter(t *testing.T) {
	requireTold(t)
	for name, tt := range map[string]struct {
		holder time.Duration
		limit  tally
	}{
		"behind": {-time.Hour, callsBehind},
		"raised": {time.Hour, callsRaised},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				calls := countCalls(t)
				for i := range waiters {
					holder, waiter := 2*i, 2*i+1
					r := newRow(t, filepath.Join(dir, "target"), tt.holder)
					r.join()
					calls.waits(t, waiter)
					r.leaves(0)
					r.holds(1)
					r.leaves(1)
					require.Equal(t, callsFree, calls.of(holder), "a waiter is no work for the holder")
					requireAtMost(t, tt.limit, 1, calls.of(waiter))
				}
				all := calls.all().minus(callsFree.times(waiters))
				requireAtMost(t, tt.limit, waiters, all)
				t.Logf("%d waiters: %v", waiters, all)
			})
		})
	}
}

// TestCallsOfRow: how many wait makes no difference to an arrival, nor to a
// hand-off, at which only one of them moves.
func TestCallsOfRow(t *testing.T) {
	requireTold(t)
	onEach(t, func(t *testing.T, dir string) {
		calls := countCalls(t)
		r := newRow(t, filepath.Join(dir, "target"), time.Hour)
		first := calls.all()
		for i := 1; i < rowLength; i++ {
			before := calls.all()
			r.join()
			calls.waits(t, i)
			requireAtMost(t, callsArrival, 1, calls.all().minus(before))
		}
		arrived := calls.all()
		requireAtMost(t, callsArrival, rowLength-1, arrived.minus(first))
		for i := 1; i < rowLength; i++ {
			before := calls.all()
			r.leaves(i - 1)
			r.holds(i)
			requireAtMost(t, callsHandOff, 1, calls.all().minus(before))
		}
		requireAtMost(t, callsHandOff, rowLength-1, calls.all().minus(arrived))
		t.Logf("%d arrivals: %v, %d hand-offs: %v", rowLength-1, arrived.minus(first), rowLength-1, calls.all().minus(arrived))
		r.leaves(rowLength - 1)
	})
}

func requireNoRaceDetector(t *testing.T) {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector allocates too")
	}
}

func requireAllocations(t *testing.T, most float64, f func()) {
	t.Helper()
	got := testing.AllocsPerRun(500, f)
	t.Logf("%v allocations", got)
	require.LessOrEqual(t, got, most)
}

func TestAllocationsOfFreeLock(t *testing.T) {
	requireNoRaceDetector(t)
	for name, tt := range map[string]struct {
		linger time.Duration
		most   float64
	}{
		"first":   {0, allocsFree},
		"resting": {time.Hour, allocsRest},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLock(t, target(t), filelock.WithLinger(tt.linger))
			t.Cleanup(func() { require.NoError(t, l.Close()) })
			pass := func() {
				if err := l.Acquire(context.Background()); err != nil {
					t.Fatal(err)
				}
				if err := l.Unlock(); err != nil {
					t.Fatal(err)
				}
			}
			if tt.linger > 0 {
				requireRest(t, filepath.Dir(l.Path()))
				for began := time.Now(); time.Since(began) < settling; {
					pass()
				}
			}
			requireAllocations(t, tt.most, pass)
		})
	}
}

// TestAllocationsOfHandOff has two goroutines hand one ticket to and fro.
func TestAllocationsOfHandOff(t *testing.T) {
	requireNoRaceDetector(t)
	l := newLock(t, target(t), filelock.WithBatch(time.Hour))
	acquire := func() { assert.NoError(t, l.Acquire(context.Background())) }
	handOn := func() {
		for l.Waiting() == 0 {
			runtime.Gosched()
		}
		assert.NoError(t, l.Unlock())
	}
	turns := make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		for range turns {
			acquire()
			handOn()
		}
	})
	defer other.Wait()
	defer close(turns)
	acquire()
	requireAllocations(t, 2*allocsHandOff, func() {
		turns <- struct{}{}
		handOn()
		acquire()
	})
	require.NoError(t, l.Unlock())
}
