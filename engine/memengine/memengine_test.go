package memengine_test

import (
	"context"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/engine/memengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lease = 10 * time.Second

func open(t *testing.T, e *memengine.Engine) engine.Queue {
	t.Helper()
	q, err := e.Open("name", engine.Options{Lease: lease})
	require.NoError(t, err)
	return q
}

func limited(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   memengine.Fault
		arrives int // places that come of a Join that failed
		err     error
		after   time.Duration
	}{
		"cut":    {memengine.Cut, 0, engine.ErrUnavailable, time.Second},
		"mute":   {memengine.Mute, 1, engine.ErrUnavailable, time.Second},
		"denied": {memengine.Denied, 0, fs.ErrPermission, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s memengine.Service
				e := s.Engine()
				e.Break(tt.fault)
				began := time.Now()
				_, err := open(t, e).New(false).Join(limited(t, time.Second))
				require.ErrorIs(t, err, tt.err)
				require.Equal(t, tt.after, time.Since(began))
				require.Equal(t, tt.arrives, s.Queued("name"))
				time.Sleep(lease)
				synctest.Wait()
				require.Zero(t, s.Queued("name"), "nobody renews it")
			})
		})
	}
}

// TestHealing: what was held up goes on.
func TestHealing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s memengine.Service
		e := s.Engine()
		e.Break(memengine.Cut)
		time.AfterFunc(time.Second, func() { e.Break(memengine.None) })
		began := time.Now()
		ticket := open(t, e).New(false)
		_, err := ticket.Join(t.Context())
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(began))
		require.NoError(t, ticket.Leave(t.Context()))
	})
}

// TestDelay: a request takes its time, and arrives though nobody waits any more.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s memengine.Service
		e := s.Engine()
		e.Delay(2 * time.Second)
		_, err := open(t, e).New(false).Join(limited(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, s.Queued("name"))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, s.Queued("name"))
		time.Sleep(lease)
		synctest.Wait()
		require.Zero(t, s.Queued("name"))
	})
}

func TestLimitLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s memengine.Service
		s.LimitLeases(3 * time.Second)
		ticket := open(t, s.Engine()).New(false)
		term, err := ticket.Join(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, term.Length)
		time.Sleep(term.Length)
		synctest.Wait()
		require.Zero(t, s.Queued("name"))
		require.ErrorIs(t, ticket.Renew(t.Context()), engine.ErrGone)
	})
}

// TestGoneOfCut: who is cut off is not told of what happens at the service.
func TestGoneOfCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s memengine.Service
		e, other := s.Engine(), s.Engine()
		ticket := open(t, e).New(false)
		_, err := ticket.Join(t.Context())
		require.NoError(t, err)
		gone := ticket.Gone()
		e.Break(memengine.Cut)
		require.NoError(t, open(t, other).Evict(t.Context(), ticket.Self()))
		synctest.Wait()
		select {
		case <-gone:
			t.Fatal("it cannot know")
		default:
		}
		e.Break(memengine.None)
		<-gone
		require.ErrorIs(t, ticket.Leave(t.Context()), engine.ErrGone)
	})
}
