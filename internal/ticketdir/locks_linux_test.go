package ticketdir

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
)

// withLocks replaces the system call for the length of a test. f may pass the
// call on.
func withLocks(t testing.TB, f func(fd, cmd int, lock int16, start int64, call func() (int16, error)) (int16, error)) {
	t.Helper()
	was := ofd
	t.Cleanup(func() { ofd = was })
	ofd = func(fd, cmd int, lock int16, start, length int64, atOnce bool) (int16, error) {
		return f(fd, cmd, lock, start, func() (int16, error) { return was(fd, cmd, lock, start, length, atOnce) })
	}
}

// lockCalls counts the calls from now on.
func lockCalls(t testing.TB) *int {
	n := new(int)
	withLocks(t, func(_, _ int, _ int16, _ int64, call func() (int16, error)) (int16, error) {
		*n++
		return call()
	})
	return n
}

func settle(t testing.TB, o *Own, waits bool) {
	t.Helper()
	list(t, o)
	require.NoError(t, o.Settle(waits))
}

func enter(t testing.TB, o *Own) {
	t.Helper()
	n, err := o.Enter()
	require.NoError(t, err)
	require.Equal(t, mtime(t, o.Path()), n)
}

func requireLocks(t testing.TB, o *Other, entry, witness liveness.Lock) {
	t.Helper()
	p := look(t, o)
	require.Equal(t, entry, p.Entry, "entry")
	require.Equal(t, witness, p.Witness, "witness")
	entered, err := o.Entered()
	require.NoError(t, err)
	require.Equal(t, entry == liveness.Held, entered)
}

// TestLocks through a ticket's life, as others see them.
func TestLocks(t *testing.T) {
	for name, tt := range map[string]struct {
		waits   bool
		waiting liveness.Lock
	}{
		"who waits has the witness":               {true, liveness.Held},
		"who enters at once has the entry, later": {false, liveness.Free},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				q := queueIn(dir)
				a, v := create(t, q), view(t, q)
				assert.True(t, v.Entries())
				assert.True(t, v.Tells(a.h.place))
				assert.False(t, v.FollowsOpen())
				b := other(t, v, a.Name())
				requireLocks(t, b, liveness.Free, liveness.Free)
				settle(t, a, tt.waits)
				requireLocks(t, b, liveness.Free, tt.waiting)
				enter(t, a)
				requireLocks(t, b, liveness.Held, liveness.Held)
				enter(t, a)
				requireLocks(t, b, liveness.Held, liveness.Held)
				require.NoError(t, a.Quit())
				requireLocks(t, b, liveness.Free, liveness.Free)
				assert.Len(t, names(t, dir), 1)
				require.NoError(t, a.Remove())
				requireLocks(t, b, liveness.Free, liveness.Free)
				assert.True(t, look(t, b).Nameless)
			})
		})
	}
}

// TestLookOrder: the number is read after the locks, or a contender that has
// risen and settled meanwhile would seem to be lower, and final.
func TestLookOrder(t *testing.T) {
	q := queueIn(t.TempDir())
	a := create(t, q)
	b := other(t, &a.View, a.Name())
	n := queue.Number{Sec: 1}
	withLocks(t, func(_, cmd int, _ int16, _ int64, call func() (int16, error)) (int16, error) {
		if cmd == unix.F_OFD_GETLK {
			n.Sec++
			setMtime(t, a.Path(), n)
		}
		return call()
	})
	p := look(t, b)
	assert.Equal(t, int64(3), n.Sec)
	assert.Equal(t, n, p.Number)
}

// TestReadersKeepNobodyOut: who may only read cannot take anything that the
// owner needs, but for a moment's bar of the entry.
func TestReadersKeepNobodyOut(t *testing.T) {
	q := queueIn(t.TempDir())
	a := create(t, q)
	f, err := os.Open(a.Path())
	require.NoError(t, err)
	defer f.Close()
	for start := range int64(3) {
		l := unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: 1}
		require.ErrorIs(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l), unix.EBADF)
	}
	l := unix.Flock_t{Type: unix.F_RDLCK, Start: witnessByte, Len: 1}
	require.NoError(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l))
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	settle(t, a, true)
	enter(t, a)
}
