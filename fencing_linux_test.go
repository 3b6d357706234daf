package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("fenced-cycles", fencedCyclesChild)
}

// asUser runs f with another user's rights on files, for this thread alone: all of
// f's system calls must be made by this goroutine. It skips the test where this
// process may not, or is that user already.
func asUser(t *testing.T, uid int, f func()) {
	t.Helper()
	if uid == os.Geteuid() {
		t.Skipf("this process is user %d itself", uid)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer unix.SetfsuidRetUid(os.Geteuid())
	unix.SetfsuidRetUid(uid)
	if is, _ := unix.SetfsuidRetUid(-1); is != uid {
		t.Skipf("this process may not be user %d", uid)
	}
	f()
}

// TestTokensOfSeveralUsers: whoever may queue may take a token, in a sticky directory
// too and whatever the umask; nobody else may.
func TestTokensOfSeveralUsers(t *testing.T) {
	for _, mode := range []os.FileMode{0o777 | os.ModeSticky, 0o777} {
		t.Run(mode.String(), func(t *testing.T) {
			dir, err := os.MkdirTemp("", "filelock-test-")
			require.NoError(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			require.NoError(t, os.Chmod(dir, mode))
			path := filepath.Join(dir, "target")
			defer unix.Umask(unix.Umask(0o077))
			last := uint64(0)
			for round := range 3 {
				use := func() {
					l := newLock(t, path, filelock.WithFencing(), filelock.WithLinger(0))
					require.NoError(t, l.TryLock(), "round %d", round)
					require.Greater(t, tokenOf(t, l), last)
					last = tokenOf(t, l)
					require.NoError(t, l.Unlock())
					require.NoError(t, l.Close())
				}
				asUser(t, 65533, use)
				use()
				asUser(t, 65532, use)
			}
			requireOneRecord(t, path)
		})
	}
}

// TestRecordOfOthers: a record that more may change than may queue is not used.
func TestRecordOfOthers(t *testing.T) {
	dir, err := os.MkdirTemp("", "filelock-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "target")
	record := path + ".lock.fence"
	for name, plant := range map[string]func() error{
		"writable for all": func() error { return errors.Join(os.Mkdir(record, 0o755), os.Chmod(record, 0o777)) },
		"another user's":   func() error { return errors.Join(os.Mkdir(record, 0o755), os.Chown(record, 65533, -1)) },
		"a link":           func() error { return errors.Join(os.Mkdir(path+".away", 0o755), os.Symlink("target.away", record)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { os.RemoveAll(record) })
			err := plant()
			if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EINVAL) { // no such user in this namespace
				t.Skip(err)
			}
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(record, "1-1"), nil, 0o644))
			l := newLock(t, path, filelock.WithFencing(), filelock.WithLinger(0))
			err = l.TryLock()
			require.ErrorIs(t, err, filelock.ErrFencingRecord)
			require.ErrorContains(t, err, record)
			require.False(t, l.Held())
			requireNoTicketFiles(t, dir)
			require.FileExists(t, filepath.Join(record, "1-1"), "it was used")
		})
	}
}

// requireNoTicketFiles is requireNoTickets beside a record.
func requireNoTicketFiles(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*.pid"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestNoSpaceForARecord: what stands in the way is said, and nothing is held after
// it. Where there is a record, tokens need no space.
func TestNoSpaceForARecord(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "nr_inodes=6"); err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	l := newLock(t, filepath.Join(dir, "target"), filelock.WithFencing(), filelock.WithLinger(0))
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	var filled []string
	fillers := 0
	fill := func(leave int) {
		t.Helper()
		for i := 0; ; i++ {
			name := filepath.Join(dir, fmt.Sprint("filler", fillers))
			fillers++
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				require.ErrorIs(t, err, unix.ENOSPC)
				break
			}
			filled = append(filled, name)
			require.Less(t, i, 10)
		}
		for range leave {
			require.NoError(t, os.Remove(filled[len(filled)-1]))
			filled = filled[:len(filled)-1]
		}
	}
	for leave := range 3 { // nothing; a ticket; a ticket and the directory
		fill(leave)
		err := l.TryLock()
		require.ErrorIs(t, err, unix.ENOSPC, "%d", leave)
		var where *os.PathError
		require.ErrorAs(t, err, &where)
		require.False(t, l.Held())
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, len(filled), "something was left: %v", entries)
	}
	fill(3)
	acquire(t, l)
	first := tokenOf(t, l)
	require.NoError(t, l.Unlock())
	fill(1)
	acquire(t, l)
	require.Greater(t, tokenOf(t, l), first)
	require.NoError(t, l.Unlock())
}

// TestTokenOfAHungFilesystem: a server that stops answering while a token is taken
// keeps nobody beyond its moment, and what it answers later changes nothing.
func TestTokenOfAHungFilesystem(t *testing.T) {
	f := mountFUSE(t)
	l := newLock(t, filepath.Join(f.dir, "target"), filelock.WithFencing())
	acquire(t, l)
	first := tokenOf(t, l)
	require.NoError(t, l.Unlock())
	require.NoError(t, l.Close())
	before := runtime.NumGoroutine()
	stopped := false
	undo := filelock.AtTokenSteps(func(step string) {
		if step == "begin" && !stopped {
			stopped = true
			f.stop(t)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), hungPatience)
	defer cancel()
	began := time.Now()
	err := l.Acquire(ctx)
	took := time.Since(began)
	t.Logf("after %v: %v", took.Round(time.Millisecond), err)
	require.ErrorIs(t, err, filelock.ErrUnanswered)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.InDelta(t, hungPatience, took, float64(tolerance))
	require.False(t, l.Held())
	f.signal(t, syscall.SIGCONT)
	eventually(t, "the goroutines' end", func() bool { return runtime.NumGoroutine() <= before })
	acquire(t, l) // by which the call that was abandoned is over for the race detector, too
	undo()
	require.Greater(t, tokenOf(t, l), first)
	require.NoError(t, l.Unlock())
	requireNoTicketFiles(t, f.source)
}

// fencedCyclesChild is cyclesChild with tokens. The record is open before.
func fencedCyclesChild(args []string) error {
	cycles, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := filelock.New(args[0], filelock.WithFencing(), filelock.WithLinger(0))
	if err != nil {
		return err
	}
	return use(l, cycles+2)
}

// TestSystemCallsOfFencing: a token adds its rename, before which os.Root looks at the
// new name, a look at the record's path and one at the own ticket.
func TestSystemCallsOfFencing(t *testing.T) {
	requireStrace(t)
	limit := systemCallsFree.times(1)
	limit["renameat"]++
	limit["newfstatat"] += 3
	onEach(t, func(t *testing.T, dir string) {
		requireOneKernel(t, dir)
		const few, many = 50, 250
		count := func(cycles int) tally {
			_, calls := straced(t, "fenced-cycles", filepath.Join(dir, "target"), cycles)
			return calls()
		}
		more := count(many).minus(count(few)).ours()
		perHold := tally{}
		for call, n := range more {
			if n := (n + (many-few)/2) / (many - few); n != 0 {
				perHold[call] = n
			}
		}
		t.Logf("%v", perHold)
		require.Equal(t, limit, perHold, "if it is less, lower the limit")
	})
}

// BenchmarkFencing is what a grant costs with a token and without: of one who uses
// the lock again and again, and of one who has not for a while and so opens the
// record and syncs it.
func BenchmarkFencing(b *testing.B) {
	for _, where := range []struct{ name, dir string }{{"disk", ""}, {"memory", "/dev/shm"}} {
		for _, how := range []struct {
			name   string
			opts   []filelock.Option
			opened bool
		}{
			{"free/off", []filelock.Option{filelock.WithLinger(0)}, false},
			{"free/on", []filelock.Option{filelock.WithLinger(0), filelock.WithFencing()}, false},
			{"resting/off", nil, false},
			{"resting/on", []filelock.Option{filelock.WithFencing()}, false},
			{"opened/off", []filelock.Option{filelock.WithLinger(0)}, true},
			{"opened/on", []filelock.Option{filelock.WithLinger(0), filelock.WithFencing()}, true},
		} {
			b.Run(where.name+"/"+how.name, func(b *testing.B) {
				dir, err := os.MkdirTemp(where.dir, "filelock-bench-")
				if err != nil {
					b.Skip(err)
				}
				b.Cleanup(func() { os.RemoveAll(dir) })
				l := newLock(b, filepath.Join(dir, "target"), how.opts...)
				for b.Loop() {
					if err := use(l, 1); err != nil {
						b.Fatal(err)
					}
					if how.opened {
						if err := l.Close(); err != nil {
							b.Fatal(err)
						}
					}
				}
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
