package ticketdir

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
)

// TestRestamp: who passes its turn on gives up its locks, and its ticket rests
// with a higher number; who gets in line again takes the mark away, with a higher
// number still, and is nowhere but in its doorway.
func TestRestamp(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		o := inside(t, dir)
		last := mtime(t, o.Path())
		for range 3 {
			n, err := o.Restamp(last, true)
			require.NoError(t, err)
			p := probeOf(t, o)
			require.True(t, p.Marked)
			require.Equal(t, liveness.Free, p.Entry)
			require.Equal(t, liveness.Free, p.Witness)
			require.Equal(t, n, p.Number)
			require.Positive(t, n.Compare(last))
			last = n

			_, err = o.Enter()
			require.NoError(t, err)
			n, err = o.Restamp(last, false)
			require.NoError(t, err)
			p = probeOf(t, o)
			require.False(t, p.Marked)
			require.Equal(t, liveness.Free, p.Entry)
			require.Equal(t, liveness.Free, p.Witness)
			require.Equal(t, n, p.Number)
			require.Positive(t, n.Compare(last))
			last = n

			list(t, o)
			require.NoError(t, o.Settle(true))
			require.Equal(t, liveness.Held, probeOf(t, o).Witness)
			entered, err := o.Enter()
			require.NoError(t, err)
			require.Equal(t, n, entered)
		}
	})
}

// TestRestampGoesByTheClock, unless that is behind.
func TestRestampGoesByTheClock(t *testing.T) {
	o := inside(t, t.TempDir())
	before := numberAt(time.Now())
	n, err := o.Restamp(queue.Number{Sec: 1}, true)
	require.NoError(t, err)
	require.GreaterOrEqual(t, n.Compare(before), 0)
	require.LessOrEqual(t, n.Compare(numberAt(time.Now())), 0)

	ahead := numberAt(time.Now().Add(time.Hour))
	n, err = o.Restamp(ahead, false)
	require.NoError(t, err)
	require.Equal(t, queue.Number{Sec: ahead.Sec, Nsec: ahead.Nsec}.Max(n), n)
	require.Positive(t, n.Compare(ahead))
	require.Equal(t, n, mtime(t, o.Path()))
}

// TestRestampIsRefused where the ticket is gone, or others have it open.
func TestRestampIsRefused(t *testing.T) {
	for _, rests := range []bool{true, false} {
		o := inside(t, t.TempDir())
		require.NoError(t, os.Remove(o.Path()))
		_, err := o.Restamp(queue.Number{}, rests)
		require.ErrorIs(t, err, queue.ErrGone)

		o = inside(t, t.TempDir())
		f, err := o.Witness()
		require.NoError(t, err)
		defer f.Close()
		_, err = o.Restamp(queue.Number{}, rests)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.Equal(t, liveness.Held, probeOf(t, o).Entry, "nothing was given up")
	}
}

// TestReclaimAtRest: who has got in line again is not to be robbed by those who saw
// it rest.
func TestReclaimAtRest(t *testing.T) {
	o := inside(t, t.TempDir())
	n, err := o.Restamp(queue.Number{}, true)
	require.NoError(t, err)
	v := view(t, o.q)
	other, err := v.OpenOther(o.name)
	require.NoError(t, err)
	defer other.Close()
	_, err = o.Enter()
	require.NoError(t, err)
	_, err = o.Restamp(n, false)
	require.NoError(t, err)
	require.ErrorIs(t, v.ReclaimAtRest(other), ErrInside)
	require.FileExists(t, o.Path())
	entry, err := entryOf(other.fd)
	require.NoError(t, err)
	require.Equal(t, liveness.Free, entry)
	_, err = o.Enter()
	require.NoError(t, err, "it is let in")
}
