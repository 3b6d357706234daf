package ticketdir

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// withLocks replaces the system call for the length of a test. f may pass the
// call on.
func withLocks(t testing.TB, f func(fd, cmd int, lock int16, start int64, call func() (int16, error)) (int16, error)) {
	t.Helper()
	was := ofd
	t.Cleanup(func() { ofd = was })
	ofd = func(fd, cmd int, lock int16, start, length int64) (int16, error) {
		return f(fd, cmd, lock, start, func() (int16, error) { return was(fd, cmd, lock, start, length) })
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
				enter(t, a)
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

// TestEntryKeepsRemoversOut: nobody who is inside can be robbed.
func TestEntryKeepsRemoversOut(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, v := create(t, q), view(t, q)
		b := other(t, v, a.Name())
		settle(t, a, false)
		enter(t, a)
		for range 2 {
			require.Equal(t, ErrInside, v.Reclaim(b))
		}
		assert.Len(t, names(t, dir), 1)
		requireLocks(t, b, liveness.Held, liveness.Held)
		require.NoError(t, a.Quit())
		require.NoError(t, v.Reclaim(b))
		assert.Empty(t, names(t, dir))
		require.NoError(t, v.Reclaim(b), "another was faster")
		_, err := v.OpenOther(a.Name())
		require.Equal(t, fs.ErrNotExist, err)
		require.ErrorIs(t, a.Remove(), queue.ErrGone)
	})
}

// TestRemoversKeepEntryOut: an owner that was taken for dead, or stalled.
//
//  1. It waits. Its turn comes, and it is stopped.
//  2. A remover concludes that it is stalled, and bars its entry.
//  3. The owner goes on. It does not get its entry lock, and starts anew.
//  4. The remover removes the ticket and lets go.
//  5. Had the owner come only now, it would have got the lock, and seen that
//     its name is gone.
//
// Without the lock in 2, or the look at the name in 5, the owner would be inside
// with a ticket that nobody sees.
func TestRemoversKeepEntryOut(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, v := create(t, q), view(t, q)
		settle(t, a, true) // 1
		b, c := other(t, v, a.Name()), other(t, v, a.Name())
		require.NoError(t, barEntry(b.fd)) // 2
		_, err := a.Enter()                // 3
		require.ErrorIs(t, err, queue.ErrGone)
		assert.True(t, a.Entries(), "there are locks here")
		requireLocks(t, c, liveness.Free, liveness.Held) // a remover is no owner
		require.NoError(t, v.Reclaim(c), "removers are not in each other's way")
		require.NoError(t, unbarEntry(b.fd)) // 4
		_, err = a.Enter()                   // 5
		require.ErrorIs(t, err, queue.ErrGone)
		require.ErrorIs(t, a.Remove(), queue.ErrGone)
	})
}

// TestRemovalLetsGo: a removal that was refused keeps the owner out no longer.
func TestRemovalLetsGo(t *testing.T) {
	q := queueIn(t.TempDir())
	a, v := create(t, q), view(t, q)
	settle(t, a, true)
	b := other(t, v, a.Name())
	require.NoError(t, os.Rename(a.Path(), q.Dir+"/elsewhere"))
	require.NoError(t, os.Mkdir(a.Path(), 0o777)) // unlink is refused
	require.ErrorIs(t, v.Reclaim(b), unix.EISDIR)
	require.NoError(t, os.Remove(a.Path()))
	require.NoError(t, os.Rename(q.Dir+"/elsewhere", a.Path()))
	enter(t, a)
}

// TestOwnersWithoutEntry: a ticket that says that its owner has no locks is
// removed without any.
func TestOwnersWithoutEntry(t *testing.T) {
	q := queueIn(t.TempDir())
	v := view(t, q)
	n := lockCalls(t)
	for _, name := range []string{
		ticket.Name{Host: "h", PID: 1, Nonce: ticket.NewNonce()}.Format(q.Prefix),
		q.Prefix + "h.1.plain.pid",
	} {
		require.NoError(t, os.WriteFile(v.path(name), nil, 0o644))
		require.NoError(t, v.Reclaim(other(t, v, name)))
		assert.Empty(t, names(t, q.Dir))
	}
	assert.Zero(t, *n)
}

// TestHeirs: a duplicate of the open ticket, as a child inherits it, keeps the
// locks when the owner dies; the last one's end ends them.
func TestHeirs(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, v := create(t, q), view(t, q)
		settle(t, a, false)
		enter(t, a)
		var heirs []*os.File
		for range 2 {
			f, err := a.Witness()
			require.NoError(t, err)
			defer f.Close()
			assert.Equal(t, a.Path(), f.Name())
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
			require.NoError(t, err)
			assert.NotZero(t, flags&unix.FD_CLOEXEC, "every child would have it")
			heirs = append(heirs, f)
		}
		b := other(t, v, a.Name())
		unix.Close(a.fd) // as the kernel does for a dead owner
		a.fd, a.entered = -1, false
		for _, f := range heirs {
			requireLocks(t, b, liveness.Held, liveness.Held)
			require.Equal(t, ErrInside, v.Reclaim(b))
			require.NoError(t, f.Close())
		}
		requireLocks(t, b, liveness.Free, liveness.Free)
		require.NoError(t, v.Reclaim(b))
	})
}

// TestHeirsWitness: who asks for the witness has it held, and the heirs of an
// owner that has left are not inside.
func TestHeirsWitness(t *testing.T) {
	q := queueIn(t.TempDir())
	a, v := create(t, q), view(t, q)
	b := other(t, v, a.Name())
	settle(t, a, false)
	f, err := a.Witness()
	require.NoError(t, err)
	defer f.Close()
	requireLocks(t, b, liveness.Free, liveness.Held)
	enter(t, a)
	require.NoError(t, a.Remove())
	requireLocks(t, b, liveness.Free, liveness.Held)
}

// TestNameless: a file that is kept open shows whether its owner is still
// inside after its name is gone.
func TestNameless(t *testing.T) {
	q := queueIn(t.TempDir())
	a, v := create(t, q), view(t, q)
	b := other(t, v, a.Name())
	settle(t, a, false)
	enter(t, a)
	assert.False(t, look(t, b).Nameless)
	require.NoError(t, os.Remove(a.Path())) // by an operator
	assert.True(t, look(t, b).Nameless)
	requireLocks(t, b, liveness.Held, liveness.Held)
	_, err := v.Stat(a.Name())
	require.Equal(t, fs.ErrNotExist, err)
	require.ErrorIs(t, a.Remove(), queue.ErrGone)
	requireLocks(t, b, liveness.Free, liveness.Free)
}

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

				again := a.Again()
				_, err := again.Create()
				require.NoError(t, err)
				_, err = a.Create() // an Own may be used again, too
				require.NoError(t, err)
				for _, o := range []*Own{again, a} {
					calls = 0
					assert.Contains(t, o.Name(), "-00000000-x.pid")
					settle(t, o, true)
					enter(t, o)
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
