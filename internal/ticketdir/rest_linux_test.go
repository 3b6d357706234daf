package ticketdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
)

// inside returns a ticket whose owner is inside.
func inside(t *testing.T, dir string) *Own {
	t.Helper()
	o := create(t, queueIn(dir))
	if !o.Entries() {
		t.Skip("there are no entry locks here")
	}
	list(t, o)
	require.NoError(t, o.Settle(false))
	_, err := o.Enter()
	require.NoError(t, err)
	return o
}

func probeOf(t *testing.T, o *Own) Probe {
	t.Helper()
	other, err := view(t, o.q).OpenOther(o.name)
	require.NoError(t, err)
	defer other.Close()
	p, err := other.Look()
	require.NoError(t, err)
	return p
}

// TestRest: a ticket at rest shows that, keeps its number, and can be entered
// again; the mark stays, and is made once.
func TestRest(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		o := inside(t, dir)
		before := probeOf(t, o)
		require.False(t, before.Marked)
		require.Equal(t, liveness.Held, before.Entry)

		for range 3 {
			require.NoError(t, o.Rest())
			p := probeOf(t, o)
			require.True(t, p.Marked)
			require.Equal(t, liveness.Free, p.Entry)
			require.Equal(t, before.Number, p.Number)
			_, err := o.Witness()
			require.ErrorIs(t, err, os.ErrClosed, "there is nothing to pass on")

			n, err := o.Enter()
			require.NoError(t, err)
			require.Equal(t, before.Number, n)
			require.Equal(t, liveness.Held, probeOf(t, o).Entry)
		}
		require.NoError(t, o.Remove())
	})
}

// TestNoRestWithHeirs: whoever has the descriptor, too, would come back with us.
func TestNoRestWithHeirs(t *testing.T) {
	o := inside(t, t.TempDir())
	f, err := o.Witness()
	require.NoError(t, err)
	defer f.Close()
	require.ErrorIs(t, o.Rest(), errors.ErrUnsupported)
	require.False(t, probeOf(t, o).Marked)
	require.Equal(t, liveness.Held, probeOf(t, o).Entry)
}

// TestRestOfWhatIsGone: the first rest finds out that the ticket is not there, or
// not as it was, before it is given up.
func TestRestOfWhatIsGone(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, o *Own)
		want   error
	}{
		"removed": {func(t *testing.T, o *Own) { require.NoError(t, os.Remove(o.Path())) }, queue.ErrGone},
		"renamed": {func(t *testing.T, o *Own) { require.NoError(t, os.Rename(o.Path(), o.Path()+".x")) }, queue.ErrGone},
		"replaced": {func(t *testing.T, o *Own) {
			require.NoError(t, os.Rename(o.Path(), o.Path()+".x"))
			require.NoError(t, os.WriteFile(o.Path(), nil, 0o644))
		}, queue.ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			o := inside(t, t.TempDir())
			tt.change(t, o)
			require.ErrorIs(t, o.Rest(), tt.want)
			require.True(t, o.entered)
		})
	}
}

// TestRemovedAtRest: that a marked ticket is removed once its entry lock is given
// up is no loss; before that it is.
func TestRemovedAtRest(t *testing.T) {
	o := inside(t, t.TempDir())
	require.NoError(t, o.Rest())
	_, err := o.Enter()
	require.NoError(t, err)
	require.NoError(t, os.Remove(o.Path()))
	require.ErrorIs(t, o.Remove(), queue.ErrGone)

	o = inside(t, t.TempDir())
	require.NoError(t, o.Rest())
	other, err := view(t, o.q).OpenOther(o.name)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, view(t, o.q).ReclaimAtRest(other))
	_, err = o.Enter()
	require.ErrorIs(t, err, queue.ErrGone)
	require.ErrorIs(t, o.Remove(), queue.ErrGone)
}

// TestReenter: the open ticket tells that it was removed, and its name is looked up
// where that would not tell, and now and then: the path may lead elsewhere.
func TestReenter(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, o *Own)
		within int // so many returns it is noticed
	}{
		"removed":             {func(t *testing.T, o *Own) { require.NoError(t, os.Remove(o.Path())) }, 1},
		"linked, and removed": {linkedAndRemoved, 1},
		"another directory there, and its mark is gone": {func(t *testing.T, o *Own) {
			_, err := os.ReadFile(o.Path())
			require.NoError(t, err)
			replaceDir(t, filepath.Dir(o.q.Dir), o.q.Dir)
		}, 1},
		"another directory there": {func(t *testing.T, o *Own) { replaceDir(t, filepath.Dir(o.q.Dir), o.q.Dir) }, byName},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir", "dir")
			require.NoError(t, os.MkdirAll(dir, 0o777))
			o := inside(t, dir)
			before := o.number
			again := func() (queue.Number, error) {
				require.NoError(t, o.Rest())
				return o.Reenter()
			}
			for range byName + 1 {
				n, err := again()
				require.NoError(t, err)
				require.Equal(t, before, n)
				require.Equal(t, liveness.Held, probeOf(t, o).Entry)
			}
			require.NoError(t, o.Rest())
			tt.change(t, o)
			var returns int
			for err := error(nil); err == nil; returns++ {
				_, err = o.Reenter()
				require.True(t, err == nil || errors.Is(err, queue.ErrGone))
				if err == nil {
					require.NoError(t, o.Rest())
				}
				require.Less(t, returns, tt.within)
			}
		})
	}
}

// linkedAndRemoved leaves a ticket one name, but not its own.
func linkedAndRemoved(t *testing.T, o *Own) {
	for _, elsewhere := range []string{"a", "b"} {
		require.NoError(t, os.Link(o.Path(), filepath.Join(o.q.Dir, elsewhere)))
	}
	require.NoError(t, os.Remove(o.Path()))
}

func replaceDir(t *testing.T, dir, inner string) {
	require.NoError(t, os.Rename(dir, dir+".old"))
	require.NoError(t, os.MkdirAll(inner, 0o777))
}

// TestReclaimBarsTheOwner: while somebody removes a ticket at rest, its owner
// cannot come back to it.
func TestReclaimBarsTheOwner(t *testing.T) {
	o := inside(t, t.TempDir())
	require.NoError(t, o.Rest())
	v := view(t, o.q)
	other, err := v.OpenOther(o.name)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, barEntry(other.fd))
	_, err = o.Enter()
	require.ErrorIs(t, err, queue.ErrGone)
	require.NoError(t, unbarEntry(other.fd))
	_, err = o.Enter()
	require.NoError(t, err)
	require.ErrorIs(t, v.ReclaimAtRest(other), ErrInside)
}

// TestTimes: the directory's times change with what is in it, and settle some
// ticks of the clock later.
func TestTimes(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		o := inside(t, dir)
		times := func() queue.Times {
			n, err := o.Times()
			require.NoError(t, err)
			return n
		}
		settle := func() {
			require.Eventually(t, func() bool { return o.Settled(times()) }, 5*time.Second, time.Millisecond)
		}
		settle()
		before := times()
		require.NoError(t, os.WriteFile(o.Path()+".x", nil, 0o644))
		require.NotEqual(t, before, times(), "created")
		for i := 0; ; i++ {
			began := time.Now()
			require.NoError(t, os.WriteFile(fmt.Sprint(o.Path(), i), nil, 0o644))
			settled := o.Settled(times())
			if time.Since(began) < 3*clockTick() { // else it was kept from its processor
				require.False(t, settled)
				break
			}
		}
		settle()
		before = times()
		require.NoError(t, o.Rest())
		require.Equal(t, before, times(), "the mark is no change of the directory")
		require.NoError(t, os.Remove(o.Path()+".x"))
		require.NotEqual(t, before, times(), "removed")
	})
}

func TestSettled(t *testing.T) {
	o := New(queueIn(t.TempDir()))
	o.born = queue.Number{Sec: 1000, Nsec: 1}
	ago := func(d time.Duration, nsec int32) queue.Number {
		n := numberAt(time.Now().Add(-d))
		if nsec == 0 {
			n.Nsec = 0
		}
		return n
	}
	for name, tt := range map[string]struct {
		modified, changed queue.Number
		want              bool
	}{
		"long ago":                      {ago(time.Hour, 1), ago(time.Hour, 1), true},
		"some ticks ago":                {ago(4*clockTick(), 1), ago(4*clockTick(), 1), true},
		"a tick ago":                    {ago(clockTick(), 1), ago(clockTick(), 1), false},
		"modified a tick ago":           {ago(clockTick(), 1), ago(time.Hour, 1), false},
		"changed a tick ago":            {ago(time.Hour, 1), ago(clockTick(), 1), false},
		"in the future":                 {ago(-time.Hour, 1), ago(-time.Hour, 1), false},
		"whole seconds, a second ago":   {ago(time.Second, 0), ago(time.Second, 0), false},
		"whole seconds, long ago":       {ago(time.Minute, 0), ago(time.Minute, 0), true},
		"from before the ticket's time": {queue.Number{Sec: 1000}, ago(time.Hour, 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, o.Settled(queue.Times{Modified: tt.modified, Changed: tt.changed}))
		})
	}
}
