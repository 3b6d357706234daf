//go:build unix

package ticketdir

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
)

func TestBeat(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		q.Lease = 30 * time.Second
		o, v := create(t, q), view(t, q)
		assert.Contains(t, o.Name(), "-x30.pid")
		beat := func() Beat {
			p, err := v.Stat(o.Name())
			require.NoError(t, err)
			return p.Beat
		}
		before := beat()
		require.NoError(t, o.Beat())
		assert.Equal(t, before, beat(), "none before the number is final")

		number, err := o.Renumber(queue.Number{Sec: 1 << 33, Nsec: 1})
		require.NoError(t, err)
		require.NoError(t, o.Settle(false))
		for range 3 {
			before := beat()
			require.NoError(t, o.Beat())
			assert.NotEqual(t, before, beat(), "others see it")
			assert.Equal(t, number, mtime(t, o.Path()), "the number stays")
			accessed := beat().Accessed.Time()
			assert.WithinDuration(t, time.Now(), accessed, time.Minute)
		}

		// A number of our own choice is beaten with from then on.
		number, err = o.Renumber(queue.Number{})
		require.NoError(t, err)
		require.NoError(t, o.Beat())
		assert.Equal(t, number, mtime(t, o.Path()))

		setMtime(t, o.Path(), queue.Number{Sec: 5})
		list(t, o) // which sees it, and is not what a heartbeat goes by
		require.ErrorIs(t, o.Beat(), queue.ErrMoved)
		assert.Equal(t, queue.Number{Sec: 5}, mtime(t, o.Path()), "it does not hide what happened")
		require.NoError(t, os.Remove(o.Path()))
		require.ErrorIs(t, o.Beat(), queue.ErrGone)
		require.ErrorIs(t, o.Remove(), queue.ErrGone)
		require.NoError(t, o.Beat(), "none after the end")
	})
}

// TestBeatBeside: heartbeats come beside everything else, and never bring back
// an older number.
func TestBeatBeside(t *testing.T) {
	q := queueIn(t.TempDir())
	o := create(t, q)
	require.NoError(t, o.Settle(true))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				assert.NoError(t, o.Beat())
			}
		}
	})
	for sec := range int64(500) {
		n, err := o.Renumber(queue.Number{Sec: sec})
		require.NoError(t, err)
		now, err := o.Enter()
		require.NoError(t, err)
		require.Equal(t, n, now)
	}
	require.NoError(t, o.Remove())
	close(stop)
	wg.Wait()
	assert.Empty(t, names(t, q.Dir))
}
