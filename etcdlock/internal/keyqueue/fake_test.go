package keyqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/wake"
)

// fake is etcd as far as a queue can tell, on the clock of a bubble: keys, leases,
// watches, and the ways to it, on which requests and answers are lost, late and
// overtake each other. What goes wrong is drawn from a seed.
type fake struct {
	weather weather

	mu       sync.Mutex
	rng      *rand.Rand
	calm     bool // nothing goes wrong any more
	revision int64
	keys     map[string]Entry
	leases   map[int64]*fakeLease
	last     int64 // lease
	watches  map[*fakeWatch]bool
	writes   int // how often something was stored

	processes map[string]*fakeProcess // by name

	// renewed is called with each lease that is renewed.
	renewed func(lease int64)
}

// weather is how likely it is that something goes wrong, in thousandths.
type weather struct {
	lost     int // a request
	mute     int // an answer
	late     int // a request arrives after seconds
	slow     int // an answer takes tenths of a second
	refused  int // at once, and nothing was done
	deaf     int // a watch that tells nothing
	ended    int // a watch that ends, in each second
	shorter  int // a lease is granted for less than was asked for
	blind    int // a client whose watches all fail
	cutEvery time.Duration
	elect    time.Duration // about how long from one leader to the next
	mortal   int           // a client dies
	crowded  int           // a process that is not met, and lives
}

type fakeProcess struct {
	machine string
	ended   chan struct{}
	dead    bool
}

type fakeLease struct {
	length time.Duration
	end    time.Time
	timer  *time.Timer
}

type fakeWatch struct {
	key  string
	told chan error
	deaf bool
}

func newFake(seed uint64, w weather) *fake {
	return &fake{
		weather: w, rng: rand.New(rand.NewPCG(seed, 0)), revision: 1, renewed: func(int64) {},
		keys: map[string]Entry{}, leases: map[int64]*fakeLease{}, watches: map[*fakeWatch]bool{},
		processes: map[string]*fakeProcess{},
	}
}

// process starts one on a machine.
func (f *fake) process(name, machine string) Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.processes[name] == nil {
		f.processes[name] = &fakeProcess{machine: machine, ended: make(chan struct{})}
	}
	meet := func(name string) (<-chan struct{}, func()) { return f.meet(name, machine), func() {} }
	return Process{Host: "host-" + machine, PID: 1, Name: name, Machine: machine, Meet: meet}
}

// meet is Process.Meet on a machine. Elsewhere another process may have the name, and
// that one ends, too.
func (f *fake) meet(name, machine string) <-chan struct{} {
	if f.chance(f.weather.crowded) {
		return nil
	}
	soon := f.between(1, 100*time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch p := f.processes[name]; {
	case p == nil, p.dead:
		return nil
	case p.machine != machine:
		other := make(chan struct{})
		time.AfterFunc(soon, func() { close(other) })
		return other
	default:
		return p.ended
	}
}

// dies ends a process, and reports whether it lived.
func (f *fake) dies(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.processes[name]
	if p.dead {
		return false
	}
	p.dead = true
	close(p.ended)
	return true
}

// chance reports true so often in a thousand times, while the weather lasts.
func (f *fake) chance(thousandths int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.calm && f.rng.IntN(1000) < thousandths
}

// between returns a time, to the nanosecond: so hardly two things happen at once.
func (f *fake) between(least, most time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return least + time.Duration(f.rng.Int64N(int64(most-least)))
}

// count returns how many keys and leases there are, and writes there were.
func (f *fake) count() (keys, leases, writes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.keys), len(f.leases), f.writes
}

// clear ends the weather.
func (f *fake) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calm = true
}

// grant makes a lease. f.mu is held, as by all that follow.
func (f *fake) grant(length time.Duration) int64 {
	f.last++
	id := f.last
	l := &fakeLease{length: length, end: time.Now().Add(length)}
	f.leases[id] = l
	l.timer = time.AfterFunc(length, func() { f.expire(id) })
	return id
}

// expire ends a lease that was not renewed meanwhile. As etcd, it looks twice a
// second.
func (f *fake) expire(id int64) {
	time.Sleep(f.between(0, 500*time.Millisecond))
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.leases[id]; l != nil && !time.Now().Before(l.end) {
		f.revoke(id)
	}
}

func (f *fake) renew(id int64) error {
	l := f.leases[id]
	if l == nil {
		return ErrNoLease
	}
	f.renewed(id)
	l.end = time.Now().Add(l.length)
	l.timer.Reset(l.length)
	return nil
}

func (f *fake) revoke(id int64) error {
	l := f.leases[id]
	if l == nil {
		return ErrNoLease
	}
	l.timer.Stop()
	delete(f.leases, id)
	for key, e := range f.keys {
		if e.Lease == id {
			f.delete(key)
		}
	}
	return nil
}

func (f *fake) delete(key string) {
	if _, there := f.keys[key]; !there {
		return
	}
	delete(f.keys, key)
	f.writes++
	f.revision++
	for w := range f.watches {
		if w.key == key {
			f.end(w, nil)
		}
	}
}

// end tells a watch something, once.
func (f *fake) end(w *fakeWatch, what error) {
	if !f.watches[w] || w.deaf && what == nil {
		return
	}
	delete(f.watches, w)
	time.AfterFunc(time.Duration(1+f.rng.Int64N(int64(5*time.Millisecond))), func() { w.told <- what })
}

func (f *fake) holds(c Cond) bool {
	for _, e := range f.keys {
		if (e.Key == c.Key || c.Prefix && strings.HasPrefix(e.Key, c.Key)) && e.Created != c.Created {
			return false
		}
	}
	_, there := f.keys[c.Key]
	return there || c.Prefix || c.Created == 0
}

func (f *fake) commit(t Txn) (Answer, error) {
	a := Answer{Succeeded: true}
	for _, c := range t.If {
		a.Succeeded = a.Succeeded && f.holds(c)
	}
	steps := t.Then
	if !a.Succeeded {
		steps = t.Otherwise
	}
	for _, op := range steps {
		if put, ok := op.(Put); ok && f.leases[put.Lease] == nil {
			return Answer{}, ErrNoLease
		}
	}
	// All changes of one transaction are of one revision.
	before := f.revision
	for _, op := range steps {
		switch op := op.(type) {
		case Put:
			f.writes++
			f.revision = before + 1
			f.keys[op.Key] = Entry{Key: op.Key, Value: op.Value, Created: f.revision, Lease: op.Lease}
		case Delete:
			f.delete(op.Key)
			f.revision = min(f.revision, before+1)
		case Get:
			a.Gets = append(a.Gets, f.get(op))
		}
	}
	a.Revision = f.revision
	return a, nil
}

func (f *fake) get(g Get) (found Found) {
	for _, e := range slices.SortedFunc(maps.Values(f.keys), func(a, b Entry) int { return cmp.Compare(a.Created, b.Created) }) {
		if e.Key != g.Key && !(g.Prefix && strings.HasPrefix(e.Key, g.Key)) {
			continue
		}
		found.Count++
		if g.Bare {
			e.Value = ""
		}
		if g.Below == 0 || e.Created < g.Below {
			found.Entries = append(found.Entries, e)
		}
	}
	if g.Newest {
		slices.Reverse(found.Entries)
	}
	if g.Limit > 0 {
		found.Entries = found.Entries[:min(int(g.Limit), len(found.Entries))]
	}
	return found
}

// elect has a new leader: it counts all leases anew.
func (f *fake) elect() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.leases {
		l.end = time.Now().Add(l.length)
		l.timer.Reset(l.length)
	}
}

// way is one client's to a fake. It is a Store.
type way struct {
	fake  *fake
	blind bool // its watches fail

	mu   sync.Mutex
	cut  bool
	dead bool // its process has ended: what was sent arrives
}

var _ Store = (*way)(nil)

func (w *way) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

func (w *way) die() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
}

func (w *way) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut || w.dead
}

// ask sends a request, which do does on arrival, under the fake's mutex. What do
// returns is answered; ask returns it, or an error that may pass.
func ask[T any](ctx context.Context, w *way, do func() (T, error)) (answer T, err error) {
	f := w.fake
	if f.chance(f.weather.refused) {
		if err := wake.Sleep(ctx, f.between(1, time.Millisecond)); err != nil {
			return answer, fmt.Errorf("%w: %w", ErrPassing, err)
		}
		return answer, fmt.Errorf("%w: refused", ErrPassing)
	}
	there, back := f.between(50*time.Microsecond, 2*time.Millisecond), f.between(50*time.Microsecond, 2*time.Millisecond)
	if f.chance(f.weather.late) {
		there = f.between(time.Second, longestWay)
	}
	if f.chance(f.weather.slow) {
		back = f.between(100*time.Millisecond, 1900*time.Millisecond)
	}
	lost, mute := w.isCut() || f.chance(f.weather.lost), f.chance(f.weather.mute)
	type reply struct {
		answer T
		err    error
	}
	replies := make(chan reply, 1)
	if !lost {
		time.AfterFunc(there, func() {
			f.mu.Lock()
			var r reply
			r.answer, r.err = do()
			f.mu.Unlock()
			if !mute {
				time.AfterFunc(back, func() {
					if !w.isCut() {
						replies <- r
					}
				})
			}
		})
	}
	select {
	case r := <-replies:
		return r.answer, r.err
	case <-ctx.Done():
		return answer, fmt.Errorf("%w: %w", ErrPassing, ctx.Err())
	}
}

func (w *way) Grant(ctx context.Context, seconds int64) (int64, time.Duration, error) {
	length := time.Duration(seconds) * time.Second
	if w.fake.chance(w.fake.weather.shorter) {
		length = max(length/2, time.Second)
	}
	lease, err := ask(ctx, w, func() (int64, error) { return w.fake.grant(length), nil })
	return lease, length, err
}

func (w *way) Renew(ctx context.Context, lease int64) error {
	_, err := ask(ctx, w, func() (any, error) { return nil, w.fake.renew(lease) })
	return err
}

func (w *way) Revoke(ctx context.Context, lease int64) error {
	_, err := ask(ctx, w, func() (any, error) { return nil, w.fake.revoke(lease) })
	return err
}

func (w *way) Left(ctx context.Context, lease int64) (time.Duration, error) {
	return ask(ctx, w, func() (time.Duration, error) {
		l := w.fake.leases[lease]
		if l == nil {
			return 0, ErrNoLease
		}
		return time.Until(l.end), nil
	})
}

func (w *way) Commit(ctx context.Context, t Txn) (Answer, error) {
	return ask(ctx, w, func() (Answer, error) { return w.fake.commit(t) })
}

var errCompacted = errors.New("compacted")

func (w *way) Watch(ctx context.Context, key string) (<-chan error, error) {
	f := w.fake
	if w.blind {
		return nil, fmt.Errorf("%w: blind", ErrPassing)
	}
	watch := &fakeWatch{key: key, told: make(chan error, 1), deaf: f.chance(f.weather.deaf)}
	ends := f.chance(f.weather.ended)
	after := f.between(time.Millisecond, 2*time.Second)
	_, err := ask(ctx, w, func() (any, error) {
		f.watches[watch] = true
		if ends {
			time.AfterFunc(after, func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.end(watch, errCompacted)
			})
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watches, watch)
	})
	return watch.told, nil
}
