package enginetest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/engine/enginetest"
	"github.com/filelock-go/filelock/engine/memengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func memory() enginetest.World {
	var service memengine.Service
	var names atomic.Int32
	lease := 2 * time.Second
	return enginetest.World{
		Lease:   lease,
		Options: []filelock.Option{filelock.WithLease(lease)},
		NewName: func(*testing.T) string { return fmt.Sprintf("test/%d", names.Add(1)) },
		NewClient: func(*testing.T) enginetest.Client {
			e := service.Engine()
			with := filelock.WithEngine(e)
			return enginetest.Client{
				Lock: func(name string, opts ...filelock.Option) (*filelock.FileLock, error) {
					return filelock.New(name, append(opts, with)...)
				},
				Inspect: func(name string) (filelock.Queue, error) { return filelock.Inspect(name, with) },
				Cut: func(cut bool) {
					if cut {
						e.Break(memengine.Cut)
					} else {
						e.Break(memengine.None)
					}
				},
			}
		},
		Rob: func(t *testing.T, name string) {
			q, err := service.Engine().Open(name, engine.Options{})
			require.NoError(t, err)
			all, err := q.List(context.Background())
			require.NoError(t, err)
			require.NotEmpty(t, all)
			require.NoError(t, q.Evict(context.Background(), all[0]))
		},
	}
}

func TestLocks(t *testing.T) { enginetest.Locks(t, memory()) }

// TestLocksInBubbles: it takes no time there, and channels and timers of one bubble
// are of no other.
func TestLocksInBubbles(t *testing.T) {
	w := memory()
	w.Run = synctest.Test
	enginetest.Locks(t, w)
}

func TestTickets(t *testing.T) {
	var service memengine.Service
	var names atomic.Int32
	enginetest.Tickets(t, enginetest.Seam{
		Lease:     4 * time.Second,
		NewName:   func(*testing.T) string { return fmt.Sprintf("test/%d", names.Add(1)) },
		NewEngine: func(*testing.T) engine.Engine { return service.Engine() },
		Run:       synctest.Test,
	})
}
