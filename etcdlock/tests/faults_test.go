package tests

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/etcdlock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// rounds returns how many rounds of 20 at once are run.
func rounds(all int) int {
	if *figures {
		return all
	}
	return 1
}

const atOnce = 20

// atOnceLimit is how long it may take to be refused.
func atOnceLimit() time.Duration {
	if *figures {
		return 250 * time.Millisecond // the server checks a password twice, for 50 ms each
	}
	return time.Second // on a machine that is busy
}

// TestCut: a holder that is cut off at some moment is told before the next one
// enters, every time.
func TestCut(t *testing.T) {
	const lease = 3 * time.Second
	c := startCluster(t, 1)
	var late, cuts atomic.Int64
	var least atomic.Int64
	least.Store(int64(time.Hour))
	for range rounds(10) {
		var all sync.WaitGroup
		for range atOnce {
			name := newName(t)
			p := newProxy(t, c.endpoint(0))
			l, err := filelock.New(name, filelock.WithLease(lease), filelock.WithEngine(newEngine(t, p.address())))
			require.NoError(t, err)
			next := newLock(t, c, name, filelock.WithLease(lease))
			phase := rand.N(2 * time.Second)
			all.Go(func() {
				if !assert.NoError(t, l.Acquire(t.Context())) {
					return
				}
				told := make(chan time.Time, 1)
				go func(lost <-chan struct{}) {
					<-lost
					told <- time.Now()
				}(l.Lost())
				entered := start(func() error { return next.Acquire(t.Context()) })
				time.Sleep(phase)
				p.cut(true)
				if !assert.NoError(t, <-entered) {
					return
				}
				in := time.Now()
				ahead := in.Sub(<-told)
				cuts.Add(1)
				if ahead < 0 {
					late.Add(1)
				}
				for was := least.Load(); int64(ahead) < was && !least.CompareAndSwap(was, int64(ahead)); was = least.Load() {
				}
				assert.ErrorIs(t, l.Unlock(), filelock.ErrLost)
				assert.NoError(t, next.Unlock())
				p.cut(false)
			})
		}
		all.Wait()
	}
	t.Logf("%d of %d were told too late; the least was %v ahead", late.Load(), cuts.Load(), time.Duration(least.Load()))
	require.Zero(t, late.Load())
}

// TestCutOfSession is TestCut with what etcd offers, which must fail: so the test can.
func TestCutOfSession(t *testing.T) {
	requireFigures(t)
	c := startCluster(t, 1)
	var late atomic.Int64
	var all sync.WaitGroup
	for range atOnce {
		name := newName(t)
		p := newProxy(t, c.endpoint(0))
		session, err := concurrency.NewSession(newClient(t, p.address()), concurrency.WithTTL(3))
		require.NoError(t, err)
		other, err := concurrency.NewSession(newClient(t, c.endpoint(0)), concurrency.WithTTL(3))
		require.NoError(t, err)
		t.Cleanup(func() {
			session.Close()
			other.Close()
		})
		phase := rand.N(2 * time.Second)
		all.Go(func() {
			assert.NoError(t, concurrency.NewMutex(session, name).Lock(t.Context()))
			next := concurrency.NewMutex(other, name)
			entered := start(func() error { return next.Lock(t.Context()) })
			time.Sleep(phase)
			p.cut(true)
			assert.NoError(t, <-entered)
			select {
			case <-session.Done():
			default:
				late.Add(1)
			}
			assert.NoError(t, next.Unlock(t.Context()))
			p.cut(false)
		})
	}
	all.Wait()
	t.Logf("%d of %d were told too late", late.Load(), atOnce)
	require.NotZero(t, late.Load())
}

// TestLateArrival: requests of an Acquire that has given up arrive afterwards, and
// nothing is left of them.
func TestLateArrival(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	lateArrivals(t, c, rounds(10), func(t *testing.T, address, name string) func(context.Context) error {
		l, err := filelock.New(name, filelock.WithLease(20*time.Second), filelock.WithEngine(newEngine(t, address)))
		require.NoError(t, err)
		require.NoError(t, l.Acquire(t.Context())) // it is connected, and has a lease
		require.NoError(t, l.Unlock())
		return l.Acquire
	})
	require.Eventually(t, func() bool { return keys(t, client) == 0 }, 5*time.Second, 10*time.Millisecond, "orphans are left")
}

// TestLateArrivalOfMutex is TestLateArrival with what etcd offers, which must fail.
func TestLateArrivalOfMutex(t *testing.T) {
	requireFigures(t)
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	lateArrivals(t, c, 2, func(t *testing.T, address, name string) func(context.Context) error {
		session, err := concurrency.NewSession(newClient(t, address), concurrency.WithTTL(20))
		require.NoError(t, err)
		return concurrency.NewMutex(session, "/"+name).Lock
	})
	time.Sleep(5 * time.Second)
	orphans := keys(t, client)
	t.Logf("%d orphans of %d", orphans, 2*atOnce)
	require.NotZero(t, orphans)
}

// lateArrivals has many acquire at once, each with a cut that begins and ends about
// when it gives up.
func lateArrivals(t *testing.T, c *cluster, rounds int, acquire func(t *testing.T, address, name string) func(context.Context) error) {
	for range rounds {
		var all sync.WaitGroup
		for range atOnce {
			p := newProxy(t, c.endpoint(0))
			try := acquire(t, p.address(), newName(t))
			all.Go(func() {
				limit := 20*time.Millisecond + rand.N(200*time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				p.cut(true)
				time.AfterFunc(limit+rand.N(100*time.Millisecond), func() { p.cut(false) })
				began := time.Now()
				assert.Error(t, try(ctx))
				assert.Less(t, time.Since(began), limit+time.Second)
			})
		}
		all.Wait()
	}
}

// TestCancels: whoever gives up at a random moment leaves nothing.
func TestCancels(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	name := newName(t)
	holder, l := newLock(t, c, name), newLock(t, c, name)
	require.NoError(t, holder.Acquire(t.Context()))
	var late []time.Duration
	var timer time.Duration // how late a mere timer is on this machine
	for range 50 * rounds(20) {
		limit := rand.N(4 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		began := time.Now()
		require.ErrorIs(t, l.Acquire(ctx), context.DeadlineExceeded)
		late = append(late, time.Since(began)-limit)
		cancel()
		began = time.Now()
		time.Sleep(limit)
		timer = max(timer, time.Since(began)-limit)
	}
	time.Sleep(100 * time.Millisecond)
	slices.Sort(late)
	latest := late[len(late)-1]
	t.Logf("%d keys; p99 %v late, the latest %v, a timer %v", keys(t, client), late[len(late)*99/100], latest, timer)
	require.EqualValues(t, 1, keys(t, client), "the holder's")
	if *figures {
		require.Less(t, late[len(late)*99/100], 20*time.Millisecond)
		require.Less(t, latest, 20*time.Millisecond+2*timer)
	} else { // on a machine that is busy
		require.Less(t, latest, locktest.Stuck/100)
	}
	require.NoError(t, holder.Unlock())
}

// TestNobodyAnswers: where nobody is there, nobody answers, or all is swallowed.
func TestNobodyAnswers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	require.NoError(t, err)
	defer silent.Close()
	c := startCluster(t, 1)
	swallows := newProxy(t, c.endpoint(0))
	swallows.cut(true)
	for name, address := range map[string]string{
		"refused": freeAddress(t), "silent": silent.Addr().String(), "swallowed": swallows.address(),
	} {
		t.Run(name, func(t *testing.T) {
			l, err := filelock.New("name", filelock.WithEngine(newEngine(t, address)))
			require.NoError(t, err)
			for _, acquire := range []func(context.Context) error{l.Acquire, l.TryAcquire} {
				const limit = 300 * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				began := time.Now()
				err := acquire(ctx)
				took := time.Since(began)
				cancel()
				require.ErrorIs(t, err, engine.ErrUnavailable)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NotErrorAs(t, err, new(*filelock.BusyError))
				t.Logf("%v late: %v", took-limit, err)
				late := 50 * time.Millisecond // on a machine that is busy
				if *figures {
					late = 20 * time.Millisecond
				}
				assert.Less(t, took, limit+late)
			}
		})
	}
}

// addUsers adds users root, locks and none, with the password "right", of whom locks has a
// right to the root "/locks". It returns a client that need not name one yet.
func addUsers(t *testing.T, c *cluster) *clientv3.Client {
	t.Helper()
	admin, ctx := newClient(t, c.endpoint(0)), t.Context()
	for _, role := range []string{"root", "locks", "none"} {
		_, err := admin.RoleAdd(ctx, role)
		require.NoError(t, err)
		_, err = admin.UserAdd(ctx, role, "right")
		require.NoError(t, err)
		_, err = admin.UserGrantRole(ctx, role, role)
		require.NoError(t, err)
	}
	_, err := admin.RoleGrantPermission(ctx, "locks", "/locks/", clientv3.GetPrefixRangeEnd("/locks/"), clientv3.PermissionType(clientv3.PermReadWrite))
	require.NoError(t, err)
	return admin
}

// engineOf returns a user's engine.
func engineOf(t *testing.T, c *cluster, user, password string) *etcdlock.Engine {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: c.endpoints(), Username: user, Password: password, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	e, err := etcdlock.New(client, etcdlock.WithRoot("/locks"))
	require.NoError(t, err)
	return e
}

// TestRights: who has no right to the keys is told so at once; who may read and write
// those of the root, and nothing else, can do all.
func TestRights(t *testing.T) {
	c := startCluster(t, 1)
	admin, ctx := addUsers(t, c), t.Context()
	lock := func(user, password string) *filelock.FileLock {
		e := engineOf(t, c, user, password)
		l, err := filelock.New("name", filelock.WithEngine(e))
		require.NoError(t, err)
		return l
	}
	// Made before there are rights: a client that has the wrong password is not made at all.
	wrong := [][2]string{{"none", "right"}, {"locks", "wrong"}, {"nobody", "right"}, {"", ""}}
	var refused []*filelock.FileLock
	for _, who := range wrong {
		refused = append(refused, lock(who[0], who[1]))
	}
	l := lock("locks", "right")
	_, err := admin.AuthEnable(ctx)
	require.NoError(t, err)
	require.NoError(t, l.Acquire(ctx))
	require.True(t, l.Held())
	require.NoError(t, l.Unlock())

	for i, l := range refused {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := l.Acquire(limited)
		cancel()
		took := time.Since(began)
		t.Logf("%q after %v: %v", wrong[i], took, err)
		assert.Less(t, took, atOnceLimit())
		assert.ErrorIs(t, err, fs.ErrPermission)
		assert.False(t, errors.Is(err, context.DeadlineExceeded))
	}
}

// TestClosedClient: who closes the client too early is told so at once, whatever there is
// yet to do, and nothing goes on in the background.
func TestClosedClient(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	e, err := etcdlock.New(client)
	require.NoError(t, err)
	l, err := filelock.New("name", filelock.WithEngine(e))
	require.NoError(t, err)
	other, err := filelock.New("other", filelock.WithEngine(e))
	require.NoError(t, err)
	require.NoError(t, l.Acquire(t.Context()))
	require.NoError(t, client.Close())
	began := time.Now()
	for _, call := range []func() error{
		func() error { return other.Acquire(t.Context()) },
		other.TryLock,
		l.Unlock,
		func() error { return e.Close(t.Context()) },
	} {
		if err := call(); err != nil {
			require.ErrorContains(t, err, "the client of etcd is closed")
		}
	}
	require.Less(t, time.Since(began), time.Second)
	require.False(t, l.Held())
}
