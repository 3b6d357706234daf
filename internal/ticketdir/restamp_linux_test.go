package ticketdir

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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

// TestGivenUpAndRemoved: from the moment at which a marked ticket's locks are given
// up anybody may remove it, and no turn is lost by that.
func TestGivenUpAndRemoved(t *testing.T) {
	o := inside(t, t.TempDir())
	require.NoError(t, o.Rest())
	_, err := o.Enter()
	require.NoError(t, err)
	withLocks(t, func(_, _ int, lock int16, _ int64, call func() (int16, error)) (int16, error) {
		inTheWay, err := call()
		if lock == unix.F_UNLCK {
			require.NoError(t, os.Remove(o.Path()))
		}
		return inTheWay, err
	})
	require.NoError(t, o.Remove())
}

// TestMarksAreLost on a filesystem that keeps no access times: there no ticket
// rests.
func TestMarksAreLost(t *testing.T) {
	for name, rest := range map[string]func(o *Own) error{
		"alone":       (*Own).Rest,
		"at the tail": func(o *Own) error { _, err := o.Restamp(queue.Number{}, true); return err },
	} {
		t.Run(name, func(t *testing.T) {
			was := setTimes
			t.Cleanup(func() { setTimes = was })
			setTimes = func(dir int, name string, _, modified queue.Number) error {
				return was(dir, name, numberAt(time.Now()), modified)
			}
			dir := t.TempDir()
			require.NoError(t, create(t, queueIn(dir)).Remove()) // so that it stays open
			o := inside(t, dir)
			require.True(t, o.MayRest())
			require.ErrorIs(t, rest(o), errors.ErrUnsupported)
			require.False(t, o.MayRest())
			require.NoError(t, o.Remove())
			require.False(t, inside(t, dir).MayRest(), "it is known of the directory")
		})
	}
}
