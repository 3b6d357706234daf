// Package enginetest is what every kind of queue behind a filelock.FileLock must
// pass: Locks is for all of them, a directory's included, and Tickets for what only
// shows at the seam, of engines.
package enginetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// World is where Locks makes its locks.
type World struct {
	// NewClient starts one more process, or what is one for the others.
	NewClient func(t *testing.T) Client
	// NewName returns a name that no lock has had.
	NewName func(t *testing.T) string
	// Rob takes away the first place in the queue of a name, whoever has it.
	Rob func(t *testing.T, name string)
	// Options are those of all locks.
	Options []filelock.Option
	// Lease is the lease that is granted to all locks.
	Lease time.Duration
	// Run runs one test, as synctest.Test does; nil just calls it.
	Run func(t *testing.T, f func(*testing.T))
}

func run(t *testing.T, as func(*testing.T, func(*testing.T)), f func(*testing.T)) {
	if as == nil {
		as = func(t *testing.T, f func(*testing.T)) { f(t) }
	}
	as(t, f)
}

// Client is one process.
type Client struct {
	// Lock makes a lock; those of one client and one name share a line.
	Lock func(name string, opts ...filelock.Option) (*filelock.FileLock, error)
	// Inspect is filelock.Inspect with what it takes.
	Inspect func(name string) (filelock.Queue, error)
	// Cut cuts the client off, so that nothing answers it, and heals that. It is nil
	// where that cannot be.
	Cut func(cut bool)
}

const (
	// stuck is how long a test waits for what must come.
	stuck = 20 * time.Second
	// lateness is how late a call may return, on a machine that is busy.
	lateness = 200 * time.Millisecond
	// mustBlock is long enough to say "it blocks".
	mustBlock = 20 * time.Millisecond
)

// table is one test's world.
type table struct {
	*testing.T
	World
	name string
}

// on makes a lock of the table's name at one more client.
func (t table) on(opts ...filelock.Option) *filelock.FileLock {
	t.Helper()
	return t.at(t.NewClient(t.T), opts...)
}

func (t table) at(c Client, opts ...filelock.Option) *filelock.FileLock {
	t.Helper()
	l, err := c.Lock(t.name, append(t.Options[:len(t.Options):len(t.Options)], opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		for l.Held() { // of a test that failed
			_ = l.Unlock()
		}
		_ = l.Close()
	})
	return l
}

// free requires that nobody has the lock.
func (t table) free() {
	t.Helper()
	l := t.on()
	require.NoError(t, l.TryLock())
	require.NoError(t, l.Unlock())
}

// context is for what must come.
func (t table) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	t.Cleanup(cancel)
	return ctx
}

// holder acquires at one more client.
func (t table) holder(opts ...filelock.Option) *filelock.FileLock {
	t.Helper()
	l := t.on(opts...)
	require.NoError(t, l.Acquire(t.context()))
	return l
}

// start calls f in another goroutine.
func start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// result returns what start's f returned.
func result(t testing.TB, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(stuck):
		t.Fatal("stuck: it does not return")
		return nil
	}
}

// blocks requires that f of start has not returned.
func blocks(t testing.TB, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("it returned: %v", err)
	case <-time.After(mustBlock):
	}
}

// closed requires that a channel is closed within d.
func closed(t testing.TB, c <-chan struct{}, d time.Duration) {
	t.Helper()
	require.NotNil(t, c)
	select {
	case <-c:
	case <-time.After(d):
		t.Fatalf("it is not closed within %v", d)
	}
}

// queued waits until n are in the queue.
func (t table) queued(c Client, n int) filelock.Queue {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		q, err := c.Inspect(t.name)
		require.NoError(t, err)
		if len(q.Tickets) == n {
			return q
		}
		if time.Since(began) > stuck {
			t.Fatalf("stuck: %d are in the queue, not %d: %v", len(q.Tickets), n, q.Tickets)
		}
	}
}

// settled waits until n are in the queue whose order is final: who has only just come
// may still get a place behind those that come later.
func (t table) settled(c Client, n int) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		q := t.queued(c, n)
		if !slices.ContainsFunc(q.Tickets, func(of filelock.Ticket) bool {
			return of.State != filelock.Inside && of.State != filelock.Alive
		}) {
			return
		}
		if time.Since(began) > stuck {
			t.Fatalf("stuck: the order is not final: %v", q.Tickets)
		}
	}
}

// referee sees who is inside.
type referee struct {
	mu       sync.Mutex
	inside   string
	order    []string
	overlaps []string
}

func (r *referee) enters(who string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside != "" {
		r.overlaps = append(r.overlaps, r.inside+" and "+who)
	}
	r.inside = who
	r.order = append(r.order, who)
}

func (r *referee) leaves() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside = ""
}
