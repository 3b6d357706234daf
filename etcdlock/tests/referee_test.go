package tests

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// start calls f in another goroutine.
func start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// referee sees who is inside.
type referee struct {
	mu       sync.Mutex
	inside   int // -1: nobody
	holds    int
	left     time.Time
	gap      time.Duration // the longest for which nobody was inside
	overlaps []string
	moved    *sync.Cond
}

func newReferee() *referee {
	r := &referee{inside: -1}
	r.moved = sync.NewCond(&r.mu)
	return r
}

func (r *referee) enters(who int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside >= 0 {
		r.overlaps = append(r.overlaps, fmt.Sprintf("%d and %d", r.inside, who))
	}
	r.inside = who
	if !r.left.IsZero() {
		r.gap = max(r.gap, time.Since(r.left))
	}
	r.holds++
	r.moved.Broadcast()
}

func (r *referee) leaves() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside, r.left = -1, time.Now()
}

// longest returns the longest gap, and forgets it.
func (r *referee) longest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	gap := r.gap
	r.gap = 0
	return gap
}

// wait waits for some more holds.
func (r *referee) wait(t *testing.T, holds int) {
	t.Helper()
	late := time.AfterFunc(locktest.Stuck, r.moved.Broadcast)
	defer late.Stop()
	began := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for end := r.holds + holds; r.holds < end; r.moved.Wait() {
		require.Less(t, time.Since(began), locktest.Stuck)
	}
}

// contend takes the lock again and again until ctx is done.
func (r *referee) contend(ctx context.Context, l *filelock.FileLock, who int, hold time.Duration) error {
	for {
		err := l.Acquire(ctx)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		r.enters(who)
		time.Sleep(hold)
		r.leaves()
		if err := l.Unlock(); err != nil {
			return err
		}
	}
}

// newLock makes a lock over a client of its own.
func newLock(t testing.TB, c *cluster, name string, opts ...filelock.Option) *filelock.FileLock {
	t.Helper()
	l, err := filelock.New(name, append(opts, filelock.WithEngine(newEngine(t, c.endpoints()...)))...)
	require.NoError(t, err)
	return l
}

// leader returns which member leads.
func (c *cluster) leader() int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), locktest.Stuck)
	defer cancel()
	for i := range c.members {
		status, err := newClient(c.t, c.endpoint(i)).Status(ctx, c.endpoint(i))
		require.NoError(c.t, err)
		if status.Leader == status.Header.MemberId {
			return i
		}
	}
	c.t.Fatal("nobody leads")
	return 0
}
