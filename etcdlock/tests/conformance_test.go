package tests

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/engine/enginetest"
	"github.com/filelock-go/filelock/etcdlock"
	"github.com/filelock-go/filelock/internal/locktest"
)

const lease = 3 * time.Second

var names atomic.Int32

func newName(*testing.T) string { return fmt.Sprintf("test/%d", names.Add(1)) }

// newEngine returns an engine over a client of its own.
func newEngine(t testing.TB, endpoints ...string) *etcdlock.Engine {
	t.Helper()
	e, err := etcdlock.New(newClient(t, endpoints...))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), locktest.Stuck)
		defer cancel()
		require.NoError(t, e.Close(ctx))
	})
	return e
}

func TestLocks(t *testing.T) {
	c := startCluster(t, 1)
	enginetest.Locks(t, enginetest.World{
		Lease:   lease,
		Options: []filelock.Option{filelock.WithLease(lease)},
		NewName: newName,
		NewClient: func(t *testing.T) enginetest.Client {
			p := newProxy(t, c.endpoint(0))
			with := filelock.WithEngine(newEngine(t, p.address()))
			return enginetest.Client{
				Lock: func(name string, opts ...filelock.Option) (*filelock.FileLock, error) {
					return filelock.New(name, append(opts, with)...)
				},
				Inspect: func(name string) (filelock.Queue, error) { return filelock.Inspect(name, with) },
				Cut:     p.cut,
			}
		},
		Rob: func(t *testing.T, name string) {
			q, err := newEngine(t, c.endpoint(0)).Open(name, engine.Options{Lease: lease})
			require.NoError(t, err)
			all, err := q.List(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, all)
			require.NoError(t, q.Evict(t.Context(), all[0]))
		},
	})
	require.Zero(t, keys(t, newClient(t, c.endpoint(0))), "nothing is left")
}

func TestTickets(t *testing.T) {
	c := startCluster(t, 1)
	enginetest.Tickets(t, enginetest.Seam{
		Lease:     lease,
		NewName:   newName,
		NewEngine: func(t *testing.T) engine.Engine { return newEngine(t, c.endpoint(0)) },
	})
	client := newClient(t, c.endpoint(0))
	require.Eventually(t, func() bool { return keys(t, client) == 0 }, lease+2*time.Second, 10*time.Millisecond)
}
