//go:build unix

package ticketdir

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// onEach runs f on a disk and in memory.
func onEach(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	t.Run("disk", func(t *testing.T) { f(t, t.TempDir()) })
	dir, err := os.MkdirTemp("/dev/shm", "ticketdir-test-")
	if err != nil {
		return
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Run("memory", func(t *testing.T) { f(t, dir) })
}

func queueIn(dir string) Queue {
	return Queue{Dir: dir, Prefix: ticket.Prefix("t"), Mode: 0o644}
}

// create makes a ticket that is removed when the test ends.
func create(t testing.TB, q Queue) *Own {
	t.Helper()
	o := New(q)
	name, err := o.Create()
	require.NoError(t, err)
	require.Equal(t, o.Name(), name)
	t.Cleanup(func() { o.Remove() })
	return o
}

// view opens a view that is closed when the test ends.
func view(t testing.TB, q Queue) *View {
	t.Helper()
	v, err := Open(q)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

func names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func mtime(t testing.TB, path string) queue.Number {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	return queue.Number{Sec: info.ModTime().Unix(), Nsec: int32(info.ModTime().Nanosecond())}
}

func setMtime(t testing.TB, path string, n queue.Number) {
	t.Helper()
	require.NoError(t, os.Chtimes(path, time.Now(), n.Time()))
}

// numbers returns a listing by name.
func numbers(ts []queue.Ticket) map[string]queue.Number {
	m := map[string]queue.Number{}
	for _, t := range ts {
		m[t.Name] = t.Number
	}
	return m
}

func list(t testing.TB, o *Own) map[string]queue.Number {
	t.Helper()
	ts, err := o.List()
	require.NoError(t, err)
	return numbers(ts)
}

// requirePathError checks that err tells what failed where.
func requirePathError(t testing.TB, err error, op, path string, is error) {
	t.Helper()
	var pe *fs.PathError
	require.ErrorAs(t, err, &pe)
	require.Equal(t, op, pe.Op)
	require.Equal(t, path, pe.Path)
	require.ErrorIs(t, err, is)
}

func TestLifeCycle(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, b := create(t, q), create(t, q)
		assert.Equal(t, dir+"/"+a.Name(), a.Path())
		n, ok := ticket.Parse(q.Prefix, a.Name())
		require.True(t, ok)
		assert.Equal(t, os.Getpid(), n.PID)
		assert.Equal(t, liveness.Self().Host, n.Host)
		assert.Equal(t, a.h.place, n.Place)
		info, err := os.Lstat(a.Path())
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o644), info.Mode())
		assert.Zero(t, info.Size())

		assert.Equal(t, map[string]queue.Number{
			a.Name(): mtime(t, a.Path()), b.Name(): mtime(t, b.Path()),
		}, list(t, a))

		want, ok := mtime(t, a.Path()).Add(time.Hour)
		require.True(t, ok)
		stored, err := a.Renumber(want)
		require.NoError(t, err)
		assert.Equal(t, want, stored)
		assert.Equal(t, want, mtime(t, a.Path()))
		assert.Equal(t, want, list(t, a)[a.Name()], "the own number is read back")
		assert.Equal(t, want, list(t, b)[a.Name()], "and others see it")

		require.NoError(t, a.Announce(want))
		assert.Len(t, names(t, dir), 2, "one kernel needs no raised entry")
		require.NoError(t, a.Settle())
		now, err := a.Confirm()
		require.NoError(t, err)
		assert.Equal(t, want, now)

		ahead, err := a.Remaining([]queue.Ticket{{Name: b.Name()}, {Name: "t.lock.h.1.gone.pid"}})
		require.NoError(t, err)
		assert.Equal(t, []queue.Ticket{{Name: b.Name()}}, ahead)

		require.NoError(t, a.Remove())
		assert.Equal(t, []string{b.Name()}, names(t, dir))
		require.NoError(t, a.Remove(), "nothing is left to remove")
		require.NoError(t, New(q).Remove(), "nor was there ever")
		require.NoError(t, b.Remove())
		assert.Empty(t, names(t, dir))
	})
}

// TestOthers: what else is in the directory is no ticket, and left alone.
func TestOthers(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		a := create(t, queueIn(dir))
		other := create(t, Queue{Dir: dir, Prefix: ticket.Prefix("other"), Mode: 0o600})
		require.NoError(t, os.WriteFile(dir+"/t", []byte("data"), 0o644))
		require.NoError(t, os.WriteFile(dir+"/t.lock.host.example.com.7.abc.pid", []byte("7"), 0o644))
		ts, err := a.List()
		require.NoError(t, err)
		require.Len(t, ts, 2)
		for _, tk := range ts {
			assert.Equal(t, tk.Name != a.Name(), tk.Plain, tk.Name)
		}
		v, err := view(t, queueIn(dir)).List()
		require.NoError(t, err)
		assert.Equal(t, numbers(ts), numbers(v))
		assert.Contains(t, list(t, other), other.Name())
	})
}

func TestMode(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	for _, tt := range []struct {
		mode  fs.FileMode
		exact bool
		want  fs.FileMode
	}{{0o666, false, 0o600}, {0o666, true, 0o666}, {0o604, true, 0o604}} {
		q := queueIn(t.TempDir())
		q.Mode, q.ExactMode = tt.mode, tt.exact
		info, err := os.Lstat(create(t, q).Path())
		require.NoError(t, err)
		assert.Equal(t, tt.want, info.Mode())
	}
}

// TestNumbers: whatever time a filesystem stores is a number.
func TestNumbers(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		a, b := create(t, queueIn(dir)), create(t, queueIn(dir))
		for _, n := range []queue.Number{
			{},
			{Sec: 0, Nsec: 1},
			{Sec: -1, Nsec: 999_999_999},
			{Sec: -1 << 31},
			{Sec: 1 << 31, Nsec: 5},
			{Sec: 1 << 33, Nsec: 999_999_999}, // 2242
			{Sec: 1 << 40, Nsec: 7},           // the year 36812; ext4 ends in 2446
		} {
			stored, err := a.Renumber(n)
			require.NoError(t, err)
			assert.Equal(t, mtime(t, a.Path()), stored, "what was kept is told")
			if n.Sec < 1<<40 {
				assert.Equal(t, n, stored)
			}
			assert.Equal(t, stored, list(t, a)[a.Name()])
			p, err := b.Probe(a.Name())
			require.NoError(t, err)
			b.Release(&p)
			assert.Equal(t, stored, p.Number)
		}
	})
}

// TestGone: each method that the own ticket matters to notices its loss.
func TestGone(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		for name, f := range map[string]func(*Own) error{
			"List":     func(o *Own) error { _, err := o.List(); return err },
			"Renumber": func(o *Own) error { _, err := o.Renumber(queue.Number{Sec: 1}); return err },
			"Settle":   (*Own).Settle,
			"Confirm":  func(o *Own) error { _, err := o.Confirm(); return err },
			"Beat":     (*Own).Beat,
			"Remove":   (*Own).Remove,
		} {
			for _, oneKernel := range []bool{true, false} {
				o := create(t, queueIn(dir))
				o.h.oneKernel = oneKernel
				if name == "Beat" {
					require.NoError(t, o.Settle())
				}
				require.NoError(t, os.Remove(o.Path()))
				assert.ErrorIs(t, f(o), queue.ErrGone, name)
				o.Remove()
			}
		}
	})
}

// TestDirectoryReplaced: a ticket counts only in the directory that the path
// names, where newcomers look. One that is made by path while another
// directory is the open one is not shown by the listing; it is to be made
// again, and the next one finds the new directory open.
func TestDirectoryReplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		replace func(t *testing.T, dir string)
		gone    bool // the tickets of before too
	}{
		"renamed": {func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(dir, dir+".old"))
			require.NoError(t, os.Mkdir(dir, 0o777))
		}, false},
		"removed and made again": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.Mkdir(dir, 0o777))
		}, true},
		"removed": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(dir))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, parent string) {
				dir := filepath.Join(parent, "queue")
				require.NoError(t, os.Mkdir(dir, 0o777))
				q := queueIn(dir)
				q.MakeDir = true
				before := create(t, q) // keeps the old directory open
				list(t, before)
				tt.replace(t, dir)
				_, statErr := os.Stat(dir)

				o := create(t, q)
				if statErr == nil {
					_, err := o.List()
					require.ErrorIs(t, err, queue.ErrGone)
					require.NoError(t, o.Remove(), "it is in the new directory")
					o = create(t, q)
				}
				assert.Contains(t, list(t, o), o.Name())
				assert.Equal(t, []string{o.Name()}, names(t, dir))
				require.NoError(t, o.Settle())
				require.NoError(t, o.Remove())
				assert.Empty(t, names(t, dir))

				_, err := before.List()
				if !tt.gone {
					require.NoError(t, err, "it is where it was")
					require.NoError(t, before.Remove())
					assert.Empty(t, names(t, dir+".old"))
					return
				}
				require.ErrorIs(t, err, queue.ErrGone)
				_, err = before.Remaining([]queue.Ticket{{Name: o.Name()}})
				require.ErrorIs(t, err, queue.ErrGone)
				require.ErrorIs(t, before.Remove(), queue.ErrGone)
			})
		})
	}
}

func TestMakeDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	_, err := New(queueIn(dir)).Create()
	requirePathError(t, err, "open", dir, fs.ErrNotExist)
	_, err = Open(queueIn(dir))
	requirePathError(t, err, "open", dir, fs.ErrNotExist)
	q := queueIn(dir)
	q.MakeDir = true
	assert.Contains(t, list(t, create(t, q)), names(t, dir)[0])
}

// TestAgain: an Own may be used for another ticket, which knows nothing of
// the first one's listings: its doorway needs the numbers of now.
func TestAgain(t *testing.T) {
	q := queueIn(t.TempDir())
	a, b := create(t, q), create(t, q)
	list(t, a)
	require.NoError(t, a.Remove())
	first := a.Name()
	_, err := a.Create()
	require.NoError(t, err)
	assert.NotEqual(t, first, a.Name())
	setMtime(t, b.Path(), queue.Number{Sec: 1 << 32})
	assert.Equal(t, queue.Number{Sec: 1 << 32}, list(t, a)[b.Name()])
}

// TestFinalListingsAreFresh: after the doorway, numbers are read anew.
func TestFinalListingsAreFresh(t *testing.T) {
	q := queueIn(t.TempDir())
	a, b := create(t, q), create(t, q)
	list(t, a)
	require.NoError(t, a.Settle())
	for sec := range int64(3) {
		setMtime(t, b.Path(), queue.Number{Sec: sec})
		assert.Equal(t, queue.Number{Sec: sec}, list(t, a)[b.Name()])
	}
}

// openHandles returns the open handle of a directory, or nil.
func openHandleOf(dir string) *handle {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	return handles.open[dir]
}

// TestHandle: a directory is opened once for all who use it, and closed some
// time after the last.
func TestHandle(t *testing.T) {
	dir := t.TempDir()
	isOpen := func(fd int) bool {
		var st unix.Stat_t
		var in unix.Stat_t
		return unix.Fstat(fd, &st) == nil && unix.Stat(dir, &in) == nil && st.Ino == in.Ino && st.Dev == in.Dev
	}
	a, b := create(t, queueIn(dir)), create(t, queueIn(dir))
	h := openHandleOf(dir)
	require.NotNil(t, h)
	assert.Same(t, h, a.h)
	assert.Same(t, h, b.h)
	require.NoError(t, a.Remove())
	require.NoError(t, b.Remove())
	assert.Same(t, h, openHandleOf(dir), "it stays open for a while")

	// An expiry that comes while it is in use again does nothing.
	c := create(t, queueIn(dir))
	assert.Same(t, h, c.h)
	h.expire()
	assert.True(t, isOpen(h.fd))
	assert.Len(t, list(t, c), 1)
	require.NoError(t, c.Remove())

	assert.True(t, h.rest.Set(), "an expiry is under way")
	h.expire()
	assert.True(t, isOpen(h.fd), "it was used since the last one")
	require.Eventually(t, func() bool { return openHandleOf(dir) == nil }, locktest.Stuck, time.Millisecond)
	assert.False(t, isOpen(h.fd))

	d := create(t, queueIn(dir))
	assert.NotSame(t, h, d.h)
	assert.True(t, isOpen(d.h.fd))
	d.h.retire() // as when the path names another directory
	fd := d.h.fd
	assert.True(t, isOpen(fd), "it is still in use")
	require.NoError(t, d.Remove())
	assert.False(t, isOpen(fd), "nobody can come back to it")
}

// TestParallelListings: they share a descriptor, and its position.
func TestParallelListings(t *testing.T) {
	q := queueIn(t.TempDir())
	want := map[string]bool{}
	for range 50 {
		want[create(t, q).Name()] = true
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			v, err := Open(q)
			if !assert.NoError(t, err) {
				return
			}
			defer v.Close()
			for range 50 {
				ts, err := v.List()
				assert.NoError(t, err)
				assert.Len(t, ts, len(want))
			}
		})
	}
	wg.Wait()
}

func probe(t testing.TB, v *View, name string) liveness.Witness {
	t.Helper()
	p, err := v.Probe(name)
	require.NoError(t, err)
	v.Release(&p)
	v.Release(&p)
	return p.Witness
}

func TestWitness(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, v := create(t, q), view(t, q)
		assert.Equal(t, liveness.WitnessFree, probe(t, v, a.Name()), "before the doorway's end")
		require.NoError(t, a.Settle())
		for range 2 {
			assert.Equal(t, liveness.WitnessHeld, probe(t, v, a.Name()))
		}
		p, err := v.Probe(a.Name())
		require.NoError(t, err)
		v.Release(&p)
		assert.Equal(t, v.h.place, p.Place)
		assert.Equal(t, v.OneKernel(), p.OneKernel)
		assert.Equal(t, mtime(t, a.Path()), p.Number)

		// As the kernel does for a dead owner.
		require.NoError(t, unix.Close(a.fd))
		a.fd = -1
		assert.Equal(t, liveness.WitnessFree, probe(t, v, a.Name()))
	})
}

// TestWitnessOutlives: a duplicate, as a child inherits it, keeps the witness
// when its owner dies; and its number shows that it is the same ticket still.
func TestWitnessOutlives(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, v := create(t, q), view(t, q)
		require.NoError(t, a.Settle())
		f, err := a.Witness()
		require.NoError(t, err)
		defer f.Close()
		assert.Equal(t, a.Path(), f.Name())
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		require.NoError(t, err)
		assert.NotZero(t, flags&unix.FD_CLOEXEC, "every child would have it")

		// The name is kept by a link, as if the owner had died.
		link := dir + "/" + ticket.Name{Host: "h", PID: 1, Nonce: ticket.NewNonce()}.Format(q.Prefix)
		require.NoError(t, os.Link(a.Path(), link))
		require.NoError(t, a.Remove())
		assert.Equal(t, liveness.WitnessHeld, probe(t, v, filepath.Base(link)))
		require.NoError(t, f.Close())
		assert.Equal(t, liveness.WitnessFree, probe(t, v, filepath.Base(link)))
	})
}

// withFlock replaces the system call for the length of a test.
func withFlock(t testing.TB, f func(fd, how int) error) {
	t.Helper()
	real := flock
	t.Cleanup(func() { flock = real })
	flock = f
}

// TestNoLocks: where locks do not work there is no witness, and a ticket must
// not say where it is: elsewhere, or later, locks may work again, and a free
// witness would tell that its owner is dead.
func TestNoLocks(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOLCK, unix.ENOSYS, unix.EOPNOTSUPP, unix.ENOTSUP, unix.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			withFlock(t, func(int, int) error { return errno })
			q := queueIn(t.TempDir())
			v := view(t, q)
			// Two are in their doorways when the first one learns it.
			a, b := create(t, q), create(t, q)
			assert.Equal(t, liveness.WitnessNone, probe(t, v, a.Name()))
			for _, o := range []*Own{a, b} {
				n, _ := ticket.Parse(q.Prefix, o.Name())
				require.NotZero(t, n.Place)
				require.ErrorIs(t, o.Settle(), queue.ErrGone, "it is to be made again")
				require.NoError(t, o.Remove())
			}

			c := create(t, q)
			n, _ := ticket.Parse(q.Prefix, c.Name())
			assert.Zero(t, n.Place)
			assert.Contains(t, c.Name(), "-00000000-x.pid")
			require.NoError(t, c.Settle())
			assert.Equal(t, liveness.WitnessNone, probe(t, v, c.Name()))
			f, err := c.Witness()
			require.NoError(t, err)
			f.Close()
		})
	}
}

// TestLockFails: any other error of the lock is no reason to go on without.
func TestLockFails(t *testing.T) {
	withFlock(t, func(int, int) error { return unix.EIO })
	q := queueIn(t.TempDir())
	a, v := create(t, q), view(t, q)
	requirePathError(t, a.Settle(), "lock", a.Path(), unix.EIO)
	_, err := v.Probe(a.Name())
	requirePathError(t, err, "lock", a.Path(), unix.EIO)
}

// TestProbeErrors is what a probe makes of each answer.
func TestProbeErrors(t *testing.T) {
	q := queueIn(t.TempDir())
	a, v := create(t, q), view(t, q)
	for errno, want := range map[unix.Errno]liveness.Witness{
		unix.EWOULDBLOCK: liveness.WitnessHeld,
		unix.EACCES:      liveness.WitnessHeld, // CIFS
		unix.ENOLCK:      liveness.WitnessNone,
	} {
		interrupted := false
		withFlock(t, func(_, how int) error {
			assert.Equal(t, unix.LOCK_SH|unix.LOCK_NB, how)
			if !interrupted {
				interrupted = true
				return unix.EINTR
			}
			return errno
		})
		assert.Equal(t, want, probe(t, v, a.Name()), errno)
	}
}

// refused has flock tell when the owner's lock was refused for the first time.
func refused(t testing.TB) <-chan struct{} {
	c := make(chan struct{})
	var once sync.Once
	real := flock
	withFlock(t, func(fd, how int) error {
		err := real(fd, how)
		if how&unix.LOCK_EX != 0 && err == unix.EWOULDBLOCK {
			once.Do(func() { close(c) })
		}
		return err
	})
	return c
}

// TestSettleWaitsForProber: a prober has the lock for a moment, and the owner
// takes it after that.
func TestSettleWaitsForProber(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, v := create(t, q), view(t, q)
		p, err := v.Probe(a.Name())
		require.NoError(t, err)
		require.Equal(t, liveness.WitnessFree, p.Witness)
		// Probers do not keep each other out, nor take each other for owners.
		assert.Equal(t, liveness.WitnessFree, probe(t, v, a.Name()))

		waits, settled := refused(t), make(chan error, 1)
		go func() { settled <- a.Settle() }()
		<-waits
		select {
		case err := <-settled:
			t.Fatalf("it settled beside the prober's lock: %v", err)
		default:
		}
		v.Release(&p)
		require.NoError(t, <-settled)
		assert.Equal(t, liveness.WitnessHeld, probe(t, v, a.Name()))
	})
}

// TestSettleTriesAgain after each answer that means "not now".
func TestSettleTriesAgain(t *testing.T) {
	answers := []error{unix.EINTR, unix.EWOULDBLOCK, unix.EACCES, nil} // EACCES is CIFS's
	calls := 0
	withFlock(t, func(_, how int) error {
		assert.Equal(t, unix.LOCK_EX|unix.LOCK_NB, how)
		calls++
		return answers[calls-1]
	})
	require.NoError(t, create(t, queueIn(t.TempDir())).Settle())
	assert.Equal(t, len(answers), calls)
}

// TestReclaimAgainstSettle: an owner that was only slow is reclaimed.
//
//  1. The owner creates its ticket and lists; its number is final.
//  2. It is stopped before it takes its witness, for longer than the grace.
//  3. A prober finds the witness free, and has the lock itself.
//  4. The owner goes on. Its lock is refused, and it tries again.
//  5. The prober removes the ticket as a dead one's, and gives the lock back.
//  6. The owner gets the lock. The ticket has no name any more, and newcomers
//     pass it by: the owner must not decide, or there would be two inside.
//
// Without the prober's lock, the owner could take its witness and check its
// ticket between 3 and 5, and go in.
func TestReclaimAgainstSettle(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		owner, v := create(t, q), view(t, q)
		list(t, owner)                  // 1
		p, err := v.Probe(owner.Name()) // 3
		require.NoError(t, err)         //
		waits, settled := refused(t), make(chan error, 1)
		go func() { settled <- owner.Settle() }() // 4
		<-waits
		require.NoError(t, v.Reclaim(owner.Name(), &p)) // 5
		assert.Empty(t, names(t, dir))
		select {
		case err := <-settled:
			t.Fatalf("it settled beside the prober's lock: %v", err)
		default:
		}
		v.Release(&p)
		require.ErrorIs(t, <-settled, queue.ErrGone) // 6
		require.ErrorIs(t, owner.Remove(), queue.ErrGone)
	})
}

func TestReclaim(t *testing.T) {
	q := queueIn(t.TempDir())
	a, v := create(t, q), view(t, q)
	p, err := v.Probe(a.Name())
	require.NoError(t, err)
	v.Release(&p)
	requirePathError(t, v.Reclaim(a.Name(), &p), "remove", a.Path(), fs.ErrClosed)
	assert.Len(t, names(t, q.Dir), 1, "without the lock it is nobody's to remove")

	p, err = v.Probe(a.Name())
	require.NoError(t, err)
	defer v.Release(&p)
	require.NoError(t, v.Reclaim(a.Name(), &p))
	require.NoError(t, v.Reclaim(a.Name(), &p), "another was faster")
	assert.Empty(t, names(t, q.Dir))
	_, err = v.Probe(a.Name())
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestUnlinkedIsGone: the kernel tells of a removal a moment before the name is
// gone, so one that is quick may still open it.
func TestUnlinkedIsGone(t *testing.T) {
	o := create(t, queueIn(t.TempDir()))
	fd, err := o.h.openTicket(o.Name())
	require.NoError(t, err)
	defer unix.Close(fd)
	_, _, err = fstat(fd)
	require.NoError(t, err)
	require.NoError(t, o.Remove())
	_, _, err = fstat(fd)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestNoRegularFiles: whatever else has a ticket's name is no ticket, is not
// followed, and keeps nobody waiting.
func TestNoRegularFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // a socket's path must be short
	at := func(kind string) string { return "t.lock.h.1." + kind + ".pid" }
	require.NoError(t, unix.Mkfifo(at("fifo"), 0o666))
	require.NoError(t, os.Mkdir(at("directory"), 0o777))
	require.NoError(t, os.WriteFile("victim", nil, 0o666))
	require.NoError(t, os.Symlink("victim", at("link")))
	require.NoError(t, os.Symlink("nothing", at("dangling")))
	require.NoError(t, os.Symlink(at("loop"), at("loop")))
	l, err := net.Listen("unix", at("socket"))
	require.NoError(t, err)
	defer l.Close()

	q := queueIn(dir)
	o, v := create(t, q), view(t, q)
	for _, oneKernel := range []bool{true, false} {
		o.h.oneKernel = oneKernel
		assert.Len(t, list(t, o), 1)
		ts, err := v.List()
		require.NoError(t, err)
		assert.Len(t, ts, 1)
		for _, kind := range []string{"fifo", "directory", "link", "dangling", "loop", "socket", "nothing"} {
			_, err := v.Probe(at(kind))
			require.ErrorIs(t, err, fs.ErrNotExist)
			// Some filesystems' listings do not tell what an entry is.
			_, err = v.read(at(kind))
			assert.True(t, passed(err), "%s: %v", kind, err)
		}
	}
	for _, kind := range []string{"fifo", "directory", "link", "dangling", "loop", "socket"} {
		assert.Contains(t, names(t, dir), at(kind), "it is not ours to remove")
	}
}

// TestRaisedEntries: where attributes are cached, a raised number is told by
// a name, and so by a fresh listing.
func TestRaisedEntries(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, b := create(t, q), create(t, q)
		b.h.oneKernel = false
		old, high := mtime(t, b.Path()), queue.Number{Sec: 1 << 33, Nsec: 7}
		_, err := b.Renumber(high)
		require.NoError(t, err)
		require.NoError(t, b.Announce(high))
		entry := ticket.Raised(b.Name(), high)
		assert.Contains(t, names(t, dir), entry)

		setMtime(t, b.Path(), old) // as another client's cache has it
		assert.Equal(t, high, list(t, a)[b.Name()])
		ts, err := view(t, q).List()
		require.NoError(t, err)
		assert.Equal(t, high, numbers(ts)[b.Name()])
		assert.Len(t, ts, 2)

		require.NoError(t, b.Remove())
		assert.Equal(t, []string{a.Name()}, names(t, dir))
		require.NoError(t, b.Remove())
	})
}

// TestRaisedEntryOfGoneTicket: its owner removes it all the same.
func TestRaisedEntryOfGoneTicket(t *testing.T) {
	q := queueIn(t.TempDir())
	a := create(t, q)
	a.h.oneKernel = false
	for _, sec := range []int64{5, 6} {
		require.NoError(t, a.Announce(queue.Number{Sec: sec}))
	}
	assert.Len(t, names(t, q.Dir), 3)
	require.NoError(t, os.Remove(a.Path()))
	require.ErrorIs(t, a.Remove(), queue.ErrGone)
	assert.Empty(t, names(t, q.Dir))
}

// TestOrphans: an entry without a ticket is removed when two listings in a row
// have shown it so. One is no proof.
func TestOrphans(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		a := create(t, queueIn(dir))
		name := ticket.Name{Host: "h", PID: 1, Nonce: ticket.NewNonce()}.Format(a.q.Prefix)
		entry := ticket.Raised(name, queue.Number{Sec: 1})
		for _, file := range []string{entry, "t.lock.raised", ticket.Raised("u.lock.h.1.x.pid", queue.Number{Sec: 1})} {
			require.NoError(t, os.WriteFile(dir+"/"+file, nil, 0o644))
		}
		list(t, a)
		assert.Contains(t, names(t, dir), entry)
		require.NoError(t, os.WriteFile(dir+"/"+name, nil, 0o644)) // it is there after all
		list(t, a)
		require.NoError(t, os.Remove(dir+"/"+name))
		list(t, a)
		assert.Contains(t, names(t, dir), entry)
		list(t, a)
		assert.NotContains(t, names(t, dir), entry)
		assert.Len(t, names(t, dir), 3, "what is not of the queue is left alone")
	})
}

// TestFreshListings: where listings are cached, one is complete only after a
// change of the directory of our own, and setting times is none.
func TestFreshListings(t *testing.T) {
	past := queue.Number{Sec: 1000}
	for name, tt := range map[string]struct {
		oneKernel bool
		before    func(*Own) error
		changes   bool
	}{
		"created":             {false, func(*Own) error { return nil }, false},
		"renumbered":          {false, func(o *Own) error { _, err := o.Renumber(queue.Number{Sec: 1}); return err }, true},
		"renumbered, at home": {true, func(o *Own) error { _, err := o.Renumber(queue.Number{Sec: 1}); return err }, false},
		"raised": {false, func(o *Own) error {
			_, err := o.Renumber(queue.Number{Sec: 1})
			return errors.Join(err, o.Announce(queue.Number{Sec: 1}))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := queueIn(t.TempDir())
			o := create(t, q)
			o.h.oneKernel = tt.oneKernel
			require.NoError(t, tt.before(o))
			left := names(t, q.Dir)
			for i := range 2 {
				setMtime(t, q.Dir, past)
				list(t, o)
				changed := mtime(t, q.Dir) != past
				assert.Equal(t, tt.changes && i == 0, changed, "listing %d", i)
				assert.Equal(t, left, names(t, q.Dir))
			}
		})
	}
}

func TestBeat(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		q.Lease = 30 * time.Second
		o, v := create(t, q), view(t, q)
		assert.Contains(t, o.Name(), "-x30.pid")
		beat := func() Beat {
			p, err := v.Probe(o.Name())
			require.NoError(t, err)
			v.Release(&p)
			return p.Beat
		}
		before := beat()
		require.NoError(t, o.Beat())
		assert.Equal(t, before, beat(), "none before the number is final")

		number, err := o.Renumber(queue.Number{Sec: 1 << 33, Nsec: 1})
		require.NoError(t, err)
		require.NoError(t, o.Settle())
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
	require.NoError(t, o.Settle())
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
		now, err := o.Confirm()
		require.NoError(t, err)
		require.Equal(t, n, now)
	}
	require.NoError(t, o.Remove())
	close(stop)
	wg.Wait()
	assert.Empty(t, names(t, q.Dir))
}

// TestAllocations is a bound on what one passage through an empty queue costs.
func TestAllocations(t *testing.T) {
	q := queueIn(t.TempDir())
	q.Prepare()
	cycle := func() {
		o := New(q)
		_, err := o.Create()
		if err == nil {
			_, err = o.List()
		}
		if err == nil {
			err = o.Settle()
		}
		if err == nil {
			err = o.Remove()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	got := testing.AllocsPerRun(500, cycle)
	t.Logf("%v allocations", got)
	assert.LessOrEqual(t, got, float64(maxAllocations))
}

// maxAllocations leaves room for two more than are needed, since the
// race detector empties pools now and then.
const maxAllocations = 9

func TestErrorsTell(t *testing.T) {
	q := queueIn(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, os.WriteFile(q.Dir, nil, 0o644))
	_, err := New(q).Create()
	requirePathError(t, err, "open", q.Dir, unix.ENOTDIR)
	assert.True(t, strings.HasPrefix(fmt.Sprint(err), "open "+q.Dir), err)
}
