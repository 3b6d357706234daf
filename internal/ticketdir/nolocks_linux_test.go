package ticketdir

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// TestNoLocks: where locks do not work, a ticket must not say where it is:
// elsewhere, or later, locks may work again, and free ones would tell that its
// owner is dead.
func TestNoLocks(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOLCK, unix.ENOSYS, unix.EOPNOTSUPP, unix.EINVAL} {
		for name, meet := range map[string]func(*Own) error{
			"Settle": func(o *Own) error { return o.Settle(true) },
			"Enter":  func(o *Own) error { _, err := o.Enter(); return err },
		} {
			t.Run(errno.Error()+"/"+name, func(t *testing.T) {
				q := queueIn(t.TempDir())
				v := view(t, q)
				a, neighbour := create(t, q), create(t, q)
				list(t, a)
				calls := 0
				withLocks(t, func(int, int, int16, int64, func() (int16, error)) (int16, error) {
					calls++
					return 0, errno
				})
				assert.True(t, a.Entries())
				require.Equal(t, queue.ErrGone, meet(a), "it is to be made again")
				assert.False(t, a.Entries())
				require.NoError(t, a.Remove())

				again := a.Again(a.q)
				_, err := again.Create()
				require.NoError(t, err)
				_, err = a.Create() // an Own may be used again, too
				require.NoError(t, err)
				for _, o := range []*Own{again, a} {
					calls = 0
					assert.Contains(t, o.Name(), "-00000000-x.pid")
					settle(t, o, true)
					enter(t, o)
					require.False(t, o.MayRest())
					require.ErrorIs(t, o.Rest(), errors.ErrUnsupported)
					_, err := o.Restamp(queue.Number{}, true)
					require.ErrorIs(t, err, errors.ErrUnsupported)
					assert.Zero(t, calls)
					requireLockless(t, v, o)
					require.NoError(t, v.Reclaim(other(t, v, o.Name())), "its owner has no locks, and says so")
					require.ErrorIs(t, o.Remove(), queue.ErrGone)
				}
				n, _ := ticket.Parse(q.Prefix, create(t, q).Name())
				assert.NotZero(t, n.Place, "it was one passage's trouble")

				// Who has a place may be inside, and we would not see it.
				err = v.Reclaim(other(t, v, neighbour.Name()))
				requirePathError(t, err, "lock", neighbour.Path(), errno)
				assert.Contains(t, names(t, q.Dir), neighbour.Name())
			})
		}
	}
}

func requireLockless(t testing.TB, v *View, o *Own) {
	t.Helper()
	b := other(t, v, o.Name())
	p := look(t, b)
	require.Equal(t, liveness.Unseen, p.Entry)
	require.Equal(t, liveness.Unseen, p.Witness)
	require.Equal(t, mtime(t, o.Path()), p.Number)
	_, err := b.Entered()
	requirePathError(t, err, "lock", o.Path(), unix.ENOLCK)
	_, err = o.Witness()
	requirePathError(t, err, "lock", o.Path(), errors.ErrUnsupported)
}

// TestLockAnswers is what is made of each other answer.
func TestLockAnswers(t *testing.T) {
	for errno, is := range map[unix.Errno]error{
		unix.EAGAIN: queue.ErrGone, // somebody bars it
		unix.EACCES: queue.ErrGone,
		unix.EIO:    unix.EIO, // no reason to go on without
		unix.ENOMEM: unix.ENOMEM,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			q := queueIn(t.TempDir())
			a, v := create(t, q), view(t, q)
			b := other(t, v, a.Name())
			list(t, a)
			interrupted := false
			withLocks(t, func(int, int, int16, int64, func() (int16, error)) (int16, error) {
				interrupted = !interrupted
				if interrupted {
					return 0, unix.EINTR
				}
				return 0, errno
			})
			_, enterErr := a.Enter()
			for _, err := range []error{a.Settle(true), enterErr} {
				require.ErrorIs(t, err, is)
				if is != queue.ErrGone {
					requirePathError(t, err, "lock", a.Path(), errno)
				}
			}
			assert.True(t, a.Entries())
			_, err := b.Look()
			requirePathError(t, err, "lock", a.Path(), errno)
			_, err = b.Entered()
			requirePathError(t, err, "lock", a.Path(), errno)
			_, err = a.Witness()
			requirePathError(t, err, "lock", a.Path(), errno)
			if refused(errno) {
				assert.Equal(t, ErrInside, v.Reclaim(b))
			} else {
				requirePathError(t, v.Reclaim(b), "lock", a.Path(), errno)
			}
			assert.Len(t, names(t, q.Dir), 1)
		})
	}
}

// TestManyKernels: a lock call may never come back there, so there is none
// before somebody asks for the witness.
func TestManyKernels(t *testing.T) {
	q := queueIn(t.TempDir())
	a, v := create(t, q), view(t, q)
	manyKernels(a)
	assert.False(t, v.Entries())
	assert.False(t, v.Tells(a.h.place))
	calls := lockCalls(t)
	settle(t, a, true)
	enter(t, a)
	b := other(t, v, a.Name())
	assert.Zero(t, *calls)
	p := look(t, b)
	assert.Equal(t, 1, *calls, "the entry is not asked for")
	assert.Equal(t, liveness.Unseen, p.Entry)
	assert.Equal(t, liveness.Free, p.Witness)
	f, err := a.Witness()
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, liveness.Held, look(t, b).Witness)
	*calls = 0
	g, err := a.Witness()
	require.NoError(t, err)
	g.Close()
	require.NoError(t, v.Reclaim(b))
	require.ErrorIs(t, a.Remove(), queue.ErrGone)
	assert.Zero(t, *calls)
}

// TestWitnessUnsupported: whoever asks for a witness where there is none is told.
func TestWitnessUnsupported(t *testing.T) {
	a := create(t, queueIn(t.TempDir()))
	manyKernels(a)
	withLocks(t, func(int, int, int16, int64, func() (int16, error)) (int16, error) { return 0, unix.ENOLCK })
	settle(t, a, true)
	_, err := a.Witness()
	requirePathError(t, err, "lock", a.Path(), errors.ErrUnsupported)
	require.ErrorIs(t, err, unix.ENOLCK)
}
