//go:build linux

package filelock_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/ticket"
)

// odd are the things other than files that can have a ticket's name. The
// symbolic links lead to a file whose lock is held, so that whoever follows one
// takes its owner for alive; the FIFO has no writer, so that whoever opens it
// and waits is stuck.
func odd(t *testing.T) map[string]func(name string) error {
	t.Helper()
	held := filepath.Join(t.TempDir(), "held")
	f, err := os.Create(held)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o666))
	return map[string]func(string) error{
		"symbolic link":            func(name string) error { return os.Symlink(held, name) },
		"symbolic link to nowhere": func(name string) error { return os.Symlink("/nowhere", name) },
		"symbolic link to a FIFO":  func(name string) error { return os.Symlink(fifo, name) },
		"symbolic link to itself":  func(name string) error { return os.Symlink(filepath.Base(name), name) },
		"FIFO":                     func(name string) error { return unix.Mkfifo(name, 0o666) },
		"directory":                func(name string) error { return os.Mkdir(name, 0o777) },
		// A socket whose path is longer than one may be that somebody listens at.
		"socket": func(name string) error { return unix.Mknod(name, unix.S_IFSOCK|0o666, 0) },
	}
}

// alive makes what would be a live owner's ticket if it were a file.
func alive(t *testing.T, path string) (file string) {
	t.Helper()
	file = plant(t, path, func(n *ticket.Name) {})
	require.NoError(t, os.Remove(file))
	return file
}

// TestOddTickets: what is no file is no ticket, and is left alone.
func TestOddTickets(t *testing.T) {
	for kind, create := range odd(t) {
		t.Run(kind, func(t *testing.T) {
			path := target(t)
			file := alive(t, path)
			require.NoError(t, create(file))
			began := time.Now()
			l := newLock(t, path)
			done := start(func() error {
				if err := l.TryLock(); err != nil {
					return err
				}
				return l.Unlock()
			})
			require.NoError(t, result(t, done))
			q, err := filelock.Inspect(path)
			require.NoError(t, err)
			require.Empty(t, q.Tickets)
			reaped, err := filelock.Reap(path)
			require.NoError(t, err)
			require.Empty(t, reaped)
			require.Less(t, time.Since(began), time.Second)
			_, err = os.Lstat(file)
			require.NoError(t, err, "it was removed")
		})
	}
}

// TestTicketBecomesOdd: a live owner's ticket turns into something else after
// it was listed, just before it is looked at. The look neither blocks nor
// follows: the ticket is gone, and what stands in its place is nobody's.
func TestTicketBecomesOdd(t *testing.T) {
	for kind, create := range odd(t) {
		t.Run(kind, func(t *testing.T) {
			path := target(t)
			file := plant(t, path, func(*ticket.Name) {})
			holdEntry(t, file)
			require.ErrorIs(t, newLock(t, path).TryLock(), filelock.ErrLocked)
			probes := 0
			undo := filelock.AtSteps(func(step, name string) {
				if step == "before OpenOther" && name == filepath.Base(file) {
					if probes++; probes == 1 {
						require.NoError(t, os.Remove(file))
						require.NoError(t, create(file))
					}
				}
			})
			defer undo()
			l := newLock(t, path)
			began := time.Now()
			require.NoError(t, result(t, start(l.TryLock)))
			t.Logf("entered after %v and %d looks", time.Since(began), probes)
			require.Less(t, time.Since(began), time.Second)
			require.Positive(t, probes)
			require.NoError(t, l.Unlock())
			_, err := os.Lstat(file)
			require.NoError(t, err, "it was removed")
		})
	}
}

// TestDeadTicketBecomesOdd: the same between the look and the removal, which
// takes the name and nothing that the name leads to.
func TestDeadTicketBecomesOdd(t *testing.T) {
	for kind, create := range odd(t) {
		t.Run(kind, func(t *testing.T) {
			path := target(t)
			precious := filepath.Join(t.TempDir(), "precious")
			require.NoError(t, os.WriteFile(precious, []byte("data"), 0o666))
			file := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
			undo := filelock.AtSteps(func(step, name string) {
				if step == "before Reclaim" {
					require.NoError(t, os.Remove(file))
					if kind == "symbolic link" {
						create = func(name string) error { return os.Symlink(precious, name) }
					}
					require.NoError(t, create(file))
				}
			})
			defer undo()
			l := newLock(t, path)
			require.NoError(t, result(t, start(l.TryLock)))
			require.NoError(t, l.Unlock())
			require.FileExists(t, precious)
			info, err := os.Lstat(file)
			require.Equal(t, kind == "directory", err == nil && info.IsDir(), "only a directory cannot be removed so")
		})
	}
}

// fastest returns the shortest of many runs of f: the machine may be busy.
func fastest(t *testing.T, f func()) time.Duration {
	t.Helper()
	best := time.Hour
	for range 15 {
		began := time.Now()
		f()
		best = min(best, time.Since(began))
	}
	return best
}

// TestManyJunkFiles: neither an acquisition nor a verdict is slower among
// 10,000 other files than by the listing that has to pass over them.
func TestManyJunkFiles(t *testing.T) {
	const junk, dead = 10_000, 50
	onEach(t, func(t *testing.T, dir string) {
		full, empty := filepath.Join(dir, "full"), filepath.Join(dir, "empty")
		require.NoError(t, os.Mkdir(full, 0o777))
		require.NoError(t, os.Mkdir(empty, 0o777))
		nonce := ticket.NewNonce()
		for i := range junk {
			var err error
			name := filepath.Join(full, fmt.Sprintf("target.lock.host.%d.", i+1))
			switch i % 5 {
			case 0: // anything
				err = os.WriteFile(filepath.Join(full, fmt.Sprint("data-", i)), nil, 0o666)
			case 1: // nearly a ticket
				err = os.WriteFile(name+"tok.pid.bak", nil, 0o666)
			case 2: // another target's
				err = os.WriteFile(filepath.Join(full, fmt.Sprintf("other.lock.host.%d.tok.pid", i+1)), nil, 0o666)
			case 3: // a number of no ticket
				err = os.WriteFile(fmt.Sprintf("%s%s-1-11111111-11111111-x.%016x%08x.raised", name, nonce, i, 0), nil, 0o666)
			case 4: // a ticket, but that it is no file
				err = os.Symlink("/nowhere", name+"tok.pid")
			}
			require.NoError(t, err)
		}
		listing := fastest(t, func() {
			f, err := os.Open(full)
			require.NoError(t, err)
			defer f.Close()
			_, err = f.Readdirnames(-1)
			require.NoError(t, err)
		})
		measure := func(what string, f func(dir string)) {
			among, alone := fastest(t, func() { f(full) }), fastest(t, func() { f(empty) })
			t.Logf("%s: %v among %d files, %v alone; a bare listing of them: %v", what, among, junk, alone, listing)
			require.Less(t, among-alone, 3*listing)
		}
		locks := map[string]*filelock.FileLock{}
		for _, d := range []string{full, empty} {
			locks[d] = newLock(t, filepath.Join(d, "target"))
		}
		measure("lock and unlock", func(d string) {
			require.NoError(t, locks[d].TryLock())
			require.NoError(t, locks[d].Unlock())
		})
		for _, d := range []string{full, empty} {
			require.NoError(t, locks[d].Close())
			for range dead {
				plant(t, filepath.Join(d, "target"), func(n *ticket.Name) { n.PID = unusedPID })
			}
		}
		measure(fmt.Sprintf("%d verdicts", dead), func(d string) {
			q, err := filelock.Inspect(filepath.Join(d, "target"))
			require.NoError(t, err)
			require.Len(t, q.Tickets, dead)
			for _, one := range q.Tickets {
				require.Equal(t, filelock.Dead, one.State)
			}
		})
		began := time.Now()
		require.NoError(t, locks[full].TryLock())
		t.Logf("past %d dead tickets among %d files: %v", dead, junk, time.Since(began))
		require.NoError(t, locks[full].Unlock())
		q, err := filelock.Inspect(locks[full].Path())
		require.NoError(t, err)
		require.Empty(t, q.Tickets)
	})
}
