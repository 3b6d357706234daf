//go:build unix

package tests

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/etcdlock"
	"github.com/filelock-go/filelock/etcdlock/internal/neighbour"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("hold", func(args []string) error { return holdInChild(args) })
	locktest.Register("hold hidden", func(args []string) error { return holdInChild(args, etcdlock.WithoutNeighbours()) })
	locktest.Register("pause", pauseInChild)
}

// lockInChild makes the lock that the arguments say: endpoint, name, seconds.
func lockInChild(args []string, opts ...etcdlock.Option) (*filelock.FileLock, *clientv3.Client, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: args[:1], Logger: zap.NewNop()})
	if err != nil {
		return nil, nil, err
	}
	e, err := etcdlock.New(client, opts...)
	if err != nil {
		return nil, nil, err
	}
	seconds, err := strconv.Atoi(args[2])
	if err != nil {
		return nil, nil, err
	}
	l, err := filelock.New(args[1], filelock.WithEngine(e), filelock.WithLease(time.Duration(seconds)*time.Second))
	return l, client, err
}

// holdInChild holds the lock until it is killed.
func holdInChild(args []string, opts ...etcdlock.Option) error {
	l, _, err := lockInChild(args, opts...)
	if err != nil {
		return err
	}
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	locktest.Say("held")
	locktest.Gate()
	return l.Unlock()
}

// pauseInChild holds the lock, is stopped from outside, and says what it finds when it
// goes on: it looks all the time.
func pauseInChild(args []string) error {
	l, client, err := lockInChild(args)
	if err != nil {
		return err
	}
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	owned, err := etcdlock.Owned(l)
	if err != nil {
		return err
	}
	token, err := l.Token()
	if err != nil {
		return err
	}
	locktest.Say("%d", token)
	lost := l.Lost()
	last := time.Now() // it may be stopped as soon as it has said so
	locktest.Say("held")
	for {
		now, held := time.Now(), l.Held()
		if now.Sub(last) > time.Second { // it was stopped in between
			if held {
				held = l.Held() // it may have been asked before it was stopped
			}
			locktest.Say("held %v", held)
			<-lost
			locktest.Say("lost %v", time.Since(now).Microseconds())
			break
		}
		last = now
	}
	answer, err := client.Txn(context.Background()).If(owned).Then(clientv3.OpPut("/data", "stale")).Commit()
	if err != nil {
		return err
	}
	locktest.Say("wrote %v", answer.Succeeded)
	locktest.Say("%v", l.Unlock())
	return nil
}

// resource is what a lock protects. It refuses tokens lower than the highest it has seen.
type resource struct{ highest uint64 }

func (r *resource) write(token uint64) (ok bool) {
	ok = token >= r.highest
	r.highest = max(r.highest, token)
	return ok
}

// TestPaused: a holder that is stopped beyond its lease is followed, and knows at once
// when it goes on; and even before it knows etcd refuses it, as does a resource that
// checks tokens.
func TestPaused(t *testing.T) {
	const seconds = 2
	c := startCluster(t, 1)
	name := newName(nil)
	child := locktest.Start(t, "pause", c.endpoint(0), name, seconds)
	stale, err := strconv.ParseUint(child.Line(), 10, 64)
	require.NoError(t, err)
	var data resource
	require.True(t, data.write(stale))
	child.Expect("held")
	next := newLock(t, c, name, filelock.WithLease(seconds*time.Second))
	require.NoError(t, child.Cmd.Process.Signal(syscall.SIGSTOP))
	began := time.Now()
	require.NoError(t, next.Acquire(t.Context()))
	took := time.Since(began)
	require.Less(t, took, seconds*time.Second+1500*time.Millisecond)
	token, err := next.Token()
	require.NoError(t, err)
	require.True(t, data.write(token))
	require.False(t, data.write(stale))
	owned, err := etcdlock.Owned(next)
	require.NoError(t, err)
	client := newClient(t, c.endpoint(0))
	answer, err := client.Txn(t.Context()).If(owned).Then(clientv3.OpPut("/data", "fresh")).Commit()
	require.NoError(t, err)
	require.True(t, answer.Succeeded)
	require.NoError(t, child.Cmd.Process.Signal(syscall.SIGCONT))
	child.Expect("held false")
	lost := child.Line()
	after, err := strconv.Atoi(strings.TrimPrefix(lost, "lost "))
	require.NoError(t, err, lost)
	t.Logf("the next one is in after %v of a lease of %d s; lost is closed %d µs after it goes on", took, seconds, after)
	require.Less(t, time.Duration(after)*time.Microsecond, 50*time.Millisecond)
	child.Expect("wrote false")
	require.Contains(t, child.Line(), "the lock was lost")
	child.Done()
	require.True(t, next.Held())
	got, err := client.Get(t.Context(), "/data")
	require.NoError(t, err)
	require.Equal(t, "fresh", string(got.Kvs[0].Value))
	require.NoError(t, next.Unlock())
}

// kills returns how long it took from a kill of the holder, a child that does main, to the
// next one, who waits already, or comes then, in order.
func kills(t *testing.T, c *cluster, main string, n, seconds int, waits bool) (took []time.Duration) {
	t.Helper()
	times := make([]time.Duration, n)
	var all sync.WaitGroup
	for i := range times {
		name := newName(nil)
		child := locktest.Start(t, main, c.endpoint(0), name, seconds)
		child.Expect("held")
		next := newLock(t, c, name, filelock.WithLease(time.Duration(seconds)*time.Second))
		var done <-chan error
		if waits {
			look := newClient(t, c.endpoint(0))
			done = start(func() error { return next.Acquire(t.Context()) })
			require.Eventually(t, func() bool { return len(contenders(t, look, name)) == 2 }, locktest.Stuck, time.Millisecond)
			time.Sleep(50 * time.Millisecond) // until it watches
		}
		began := time.Now()
		child.Kill()
		if !waits {
			done = start(func() error { return next.Acquire(t.Context()) })
		}
		finish := func() {
			assert.NoError(t, <-done)
			times[i] = time.Since(began)
			assert.NoError(t, next.Unlock())
		}
		if waits {
			finish() // by itself: it takes no time
		} else {
			all.Go(finish)
		}
	}
	all.Wait()
	slices.Sort(times)
	return times
}

// TestKilledBeside: a holder that is killed is followed at once by who waits on the same
// machine.
func TestKilledBeside(t *testing.T) {
	if neighbour.Machine() == "" {
		t.Skip("the end of others is not told on this system")
	}
	n := 5
	if *figures {
		n = 50
	}
	c := startCluster(t, 1)
	took := kills(t, c, "hold", n, 20, true)
	t.Logf("of %d: median %v, longest %v, of a lease of 20 s", n, took[n/2], took[n-1])
	limit := 100 * time.Millisecond
	if *figures {
		limit = 10 * time.Millisecond
	}
	require.Less(t, took[n/2], limit)
	require.Less(t, took[n-1], 5*time.Second)

	took = kills(t, c, "hold hidden", 1, 2, true)
	t.Logf("of one that does not tell: %v, of a lease of 2 s", took[0])
	require.Greater(t, took[0], time.Second)
}

// TestKilled: a holder that is killed is followed by who comes then, or is elsewhere, when
// its lease has run out.
func TestKilled(t *testing.T) {
	const seconds = 2
	n := 3
	if *figures {
		n = 50
	}
	took := kills(t, startCluster(t, 1), "hold", n, seconds, false)
	t.Logf("of %d: median %v, longest %v, of a lease of %d s", n, took[n/2], took[n-1], seconds)
	require.Less(t, took[n-1], (seconds+1)*time.Second)
}

// TestMembersKilled: three members, and contenders all the time; the leader, or another
// one, or each of them in turn is killed and comes back: nobody loses the lock, and no call
// fails.
func TestMembersKilled(t *testing.T) {
	for name, tt := range map[string]struct {
		victims func(c *cluster) []int
		gap     time.Duration
	}{
		"leader":   {func(c *cluster) []int { return []int{c.leader()} }, 3 * time.Second},
		"follower": {func(c *cluster) []int { return []int{(c.leader() + 1) % 3} }, 500 * time.Millisecond},
		"rolling": {func(c *cluster) []int {
			first := c.leader() // then each that leads by then, or does not
			return []int{first, (first + 1) % 3, (first + 2) % 3}
		}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "leader" {
				t.Skip("with -short the leader only")
			}
			c := startCluster(t, 3)
			r := newReferee()
			ctx, cancel := context.WithCancel(t.Context())
			var done []<-chan error
			for i := range 3 {
				l := newLock(t, c, "name", filelock.WithLease(10*time.Second))
				done = append(done, start(func() error { return r.contend(ctx, l, i, 5*time.Millisecond) }))
			}
			r.wait(t, 20)
			gap := time.Duration(0)
			for _, victim := range tt.victims(c) {
				r.longest()
				c.members[victim].Kill()
				r.wait(t, 20)
				gap = max(gap, r.longest())
				c.begin(victim)
				c.ready(victim)
				r.wait(t, 20)
			}
			cancel()
			for _, d := range done {
				require.NoError(t, <-d)
			}
			require.Empty(t, r.overlaps)
			t.Logf("nobody was inside for %v at the most", gap)
			if !*figures {
				tt.gap += 2 * time.Second
			}
			require.Less(t, gap, tt.gap)
		})
	}
}

// TestNoQuorum: with two of three members killed nobody enters, the holder is told
// within its lease, and all goes on when they are back. A leader that has lost its
// followers renews leases until it notices, which takes it an election timeout; those
// who elect another one add as much to all leases.
func TestNoQuorum(t *testing.T) {
	const lease = 3 * time.Second
	tooLong := 8 * time.Second
	if testing.Short() {
		tooLong = 4 * time.Second
	}
	c := startCluster(t, 3)
	l, next := newLock(t, c, "name", filelock.WithLease(lease)), newLock(t, c, "name", filelock.WithLease(lease))
	require.NoError(t, l.Acquire(t.Context()))
	c.members[0].Kill()
	c.members[1].Kill()
	began := time.Now()
	limited, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := next.Acquire(limited)
	require.Error(t, err)
	require.Less(t, time.Since(began), 520*time.Millisecond)
	<-l.Lost()
	require.Less(t, time.Since(began), lease+election+500*time.Millisecond)
	require.False(t, l.Held())
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	waits := start(func() error { return next.Acquire(t.Context()) })
	for time.Since(began) < tooLong {
		select {
		case err := <-waits:
			t.Fatalf("it entered: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	for i := range 2 {
		c.begin(i)
	}
	for i := range 2 {
		c.ready(i)
	}
	back := time.Now()
	require.NoError(t, <-waits)
	after := time.Since(back)
	t.Logf("goes on after %v", after)
	require.Less(t, after, lease, "the lost place, whose lease began anew, is given up as soon as that can be")
	require.NoError(t, next.Unlock())
}

// TestCompaction: while a waiter waits, the server compacts and its history goes: it
// enters as soon as the lock is free.
func TestCompaction(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	compact := func() {
		var revision int64
		for range 50 {
			answer, err := client.Put(t.Context(), "/other", "x")
			require.NoError(t, err)
			revision = answer.Header.Revision
		}
		_, err := client.Compact(t.Context(), revision, clientv3.WithCompactPhysical())
		require.NoError(t, err)
	}
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut %v", cut), func(t *testing.T) {
			name := newName(t)
			holder := newLock(t, c, name)
			require.NoError(t, holder.Acquire(t.Context()))
			p := newProxy(t, c.endpoint(0))
			waiter, err := filelock.New(name, filelock.WithEngine(newEngine(t, p.address())))
			require.NoError(t, err)
			done := start(func() error { return waiter.Acquire(t.Context()) })
			require.Eventually(t, func() bool { return keys(t, client) == 3 || keys(t, client) == 2 }, locktest.Stuck, time.Millisecond)
			time.Sleep(100 * time.Millisecond) // until it watches
			p.cut(cut)
			if cut {
				require.NoError(t, holder.Unlock())
				compact()
				p.cut(false)
			} else {
				compact()
				require.NoError(t, holder.Unlock())
			}
			began := time.Now()
			require.NoError(t, <-done)
			t.Logf("enters %v after", time.Since(began))
			assert.Less(t, time.Since(began), 500*time.Millisecond)
			require.NoError(t, waiter.Unlock())
		})
	}
}
