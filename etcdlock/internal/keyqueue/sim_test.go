package keyqueue

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/engine/enginetest"
	"github.com/filelock-go/filelock/internal/enginepassage"
)

var (
	schedules = flag.Int("sim.schedules", 150, "how many schedules to run in each weather")
	firstSeed = flag.Uint64("sim.seed", 0, "the seed of the first schedule; 0: another one each time")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEngine is an engine over a way to a fake.
type fakeEngine struct {
	leases  *Leases
	name    string
	process Process
}

func newFakeEngine(w *way, name, machine string) *fakeEngine {
	return &fakeEngine{NewLeases(w), name, w.fake.process(name, machine)}
}

func (e *fakeEngine) Open(name string, o engine.Options) (engine.Queue, error) {
	return NewQueue(e.leases, e.process, e.name, "/root", name, o), nil
}

// TestTickets runs what each engine must pass over a fake where nothing goes wrong.
func TestTickets(t *testing.T) {
	var f *fake
	var engines int
	enginetest.Tickets(t, enginetest.Seam{
		Lease: 4 * time.Second,
		NewName: func(t *testing.T) string {
			f = newFake(1, weather{})
			return "name"
		},
		NewEngine: func(t *testing.T) engine.Engine {
			engines++
			e := newFakeEngine(&way{fake: f}, fmt.Sprint(engines), "")
			t.Cleanup(func() { require.NoError(t, e.leases.Close(context.Background())) })
			return e
		},
		Run: synctest.Test,
	})
}

// TestTriesWriteNothing counts what is stored.
func TestTriesWriteNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, weather{})
		e, other := newFakeEngine(&way{fake: f}, "1", "here"), newFakeEngine(&way{fake: f}, "2", "here")
		q, _ := e.Open("name", engine.Options{Lease: time.Minute})
		holder := q.New(false)
		_, err := holder.Join(t.Context())
		require.NoError(t, err)
		_, _, before := f.count()
		q, _ = other.Open("name", engine.Options{Lease: time.Minute})
		for range 100 {
			_, err := q.New(false).Try(t.Context())
			require.ErrorIs(t, err, engine.ErrBusy)
		}
		_, leases, writes := f.count()
		require.Equal(t, before, writes)
		require.Equal(t, 2, leases, "one lease serves all of them")
	})
}

// weathers are what schedules run in. In calm ones hand-offs are prompt.
var weathers = map[string]weather{
	"calm":   {},
	"lossy":  {lost: 30, mute: 30, late: 30, refused: 30},
	"slow":   {slow: 200, late: 60, shorter: 300},
	"deaf":   {deaf: 200, ended: 300, blind: 200, slow: 20},
	"cut":    {cutEvery: 8 * time.Second, elect: 20 * time.Second, shorter: 100, deaf: 50},
	"mortal": {mortal: 700, crowded: 300, late: 20, slow: 50, shorter: 100},
	"harsh":  {slow: 400, shorter: 500, mute: 50, late: 30, cutEvery: 3 * time.Second},
	"all":    {mortal: 300, crowded: 100, lost: 10, mute: 10, late: 10, slow: 20, refused: 10, deaf: 30, ended: 50, shorter: 50, blind: 50, cutEvery: 20 * time.Second, elect: 30 * time.Second},
}

func TestSchedules(t *testing.T) {
	first := *firstSeed
	if first == 0 {
		first = rand.Uint64()
	}
	for name, w := range weathers {
		t.Run(name, func(t *testing.T) {
			grants, began := 0, time.Now()
			for i := range uint64(*schedules) {
				s := &schedule{seed: first + i, weather: w}
				synctest.Test(t, func(t *testing.T) { s.run(t) })
				if s.failure != "" {
					t.Fatalf("%s\nreplay: -run TestSchedules/%s -sim.schedules=1 -sim.seed=%d", s.failure, name, s.seed)
				}
				grants += s.grants
			}
			t.Logf("from seed %d: %d schedules, %d grants in %v", first, *schedules, grants, time.Since(began).Round(time.Millisecond))
		})
	}
}

const (
	simLease = 4 * time.Second
	// bad is how long the weather lasts; by the end all must be done.
	bad     = 40 * time.Second
	theEnd  = bad + 60*time.Second
	clients = 3
	workers = 2
	// prompt is how long a hand-off may take where nothing goes wrong.
	prompt = 50 * time.Millisecond
	// longestWay is how late a request may arrive.
	longestWay = 8 * time.Second
)

// schedule is some clients' contention for one lock.
type schedule struct {
	seed    uint64
	weather weather
	fake    *fake

	mu      sync.Mutex
	failure string
	grants  int
	inside  map[*enginepassage.Passage]holder
	dead    map[string]bool      // processes
	live    map[uint64]bool      // the serials of tickets that may be renewed
	orphans map[uint64]time.Time // since when others were seen to be renewed
	top     uint64               // the highest token of an exclusive grant
	left    time.Time            // when somebody left, or stopped waiting
}

// holder is who is inside.
type holder struct {
	process string
	shared  bool
}

func (s *schedule) fails(format string, args ...any) {
	if s.failure == "" {
		s.failure = fmt.Sprintf(format, args...)
	}
}

func (s *schedule) run(t *testing.T) {
	f := newFake(s.seed, s.weather)
	s.fake, s.inside, s.live, s.orphans = f, map[*enginepassage.Passage]holder{}, map[uint64]bool{}, map[uint64]time.Time{}
	s.dead = map[string]bool{}
	jitter = func(d time.Duration) time.Duration { return f.between(0, d) }
	f.renewed = s.renews
	began := time.Now()
	time.AfterFunc(bad, f.clear)
	if s.weather.elect > 0 {
		for at := f.between(0, s.weather.elect); at < bad; at += f.between(0, s.weather.elect) {
			time.AfterFunc(at, f.elect)
		}
	}
	var all, ghosts sync.WaitGroup
	defer ghosts.Wait()
	for c := range clients {
		w := &way{fake: f, blind: f.chance(s.weather.blind)}
		s.cuts(w)
		e := newFakeEngine(w, fmt.Sprint(c), []string{"here", "here", "there"}[c])
		if f.chance(s.weather.mortal) {
			time.AfterFunc(f.between(0, bad), func() { s.dies(w, e.name) })
		}
		q, _ := e.Open("dir/name", engine.Options{Lease: simLease})
		cfg := &enginepassage.Config{Queue: q}
		var ours sync.WaitGroup
		for i := range workers {
			a := &actor{schedule: s, process: e.name, cfg: cfg, rng: rand.New(rand.NewPCG(s.seed, uint64(1+c*workers+i))), until: began.Add(bad + 5*time.Second)}
			ours.Go(a.work)
		}
		all.Go(func() {
			ours.Wait()
			if s.hasDied(e.name) { // it cleans nothing up
				ghosts.Go(func() { _ = e.leases.Close(context.Background()) })
			} else if err := e.leases.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > theEnd {
		s.fails("stuck: it took %v", took)
	}
	time.Sleep(simLease + time.Second)
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.keys); n > 0 {
		s.fails("orphans: %d keys are left", n)
	}
}

// cuts cuts a way off now and then.
func (s *schedule) cuts(w *way) {
	if s.weather.cutEvery == 0 {
		return
	}
	for at := s.fake.between(0, s.weather.cutEvery); at < bad; at += s.fake.between(0, s.weather.cutEvery) {
		time.AfterFunc(at, func() { w.setCut(true) })
		at += s.fake.between(0, 2*simLease)
		time.AfterFunc(at, func() { w.setCut(false) })
	}
}

// dies ends a process. Whoever was inside is not any more, and others may hear of it.
func (s *schedule) dies(w *way, name string) {
	w.die()
	s.mu.Lock()
	s.dead[name] = true
	for p, h := range s.inside {
		if h.process == name {
			delete(s.inside, p)
		}
	}
	s.mu.Unlock()
	s.fake.dies(name)
}

func (s *schedule) hasDied(process string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead[process]
}

// renews: whose ticket is over is renewed by nobody, but by a request that was on its
// way. The fake's mutex is held.
func (s *schedule) renews(lease int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.fake.keys {
		serial := uint64(e.Created)
		if e.Lease != lease || s.live[serial] {
			continue
		}
		if s.orphans[serial].IsZero() {
			s.orphans[serial] = time.Now()
		}
		if age := time.Since(s.orphans[serial]); age > longestWay {
			s.fails("orphan: %s of revision %d is renewed, and has had no owner for %v", e.Key, serial, age)
		}
	}
}

func (s *schedule) lives(p *enginepassage.Passage, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[p.Place().Serial] = live
	if !live {
		s.left = time.Now()
	}
}

func (s *schedule) enters(process string, p *enginepassage.Passage, shared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead[process] {
		return
	}
	s.grants++
	for q, other := range s.inside {
		if !(shared && other.shared) && !q.Lost() {
			s.fails("overlap: %d enters, and %d is inside and was not told", p.Place().Serial, q.Place().Serial)
		}
	}
	if !shared {
		if p.Place().Serial <= s.top {
			s.fails("order: token %d after %d", p.Place().Serial, s.top)
		}
		s.top = p.Place().Serial
	}
	s.inside[p] = holder{process, shared}
}

func (s *schedule) leaves(p *enginepassage.Passage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inside, p)
	s.left = time.Now()
}

// waited checks that a wait did not take long after the last one had left, whether
// or not it came to its end.
func (s *schedule) waited(from time.Time, entered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := prompt
	switch w := s.weather; {
	case w.deaf > 0 && w.cutEvery == 0 && w.late == 0:
		limit = net + attempt + time.Second
	case w != (weather{}):
		return
	}
	if from.Before(s.left) {
		from = s.left
	}
	took := time.Since(from)
	if took > limit && !s.left.IsZero() && (entered || len(s.inside) == 0) {
		s.fails("late: it took %v from one to the next", took)
	}
}
