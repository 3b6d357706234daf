//go:build linux

package filelock_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// mount makes a small filesystem for a test, or skips it.
func mount(t *testing.T, fstype, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, fstype, 0, options); err != nil {
		t.Skipf("a %s may not be mounted here: %v", fstype, err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// requireRefused checks an error that is the filesystem's: it comes as itself,
// not as a timeout or a busy lock, and leaves nothing.
func requireRefused(t *testing.T, l *filelock.FileLock, want error) {
	t.Helper()
	for _, err := range []error{l.TryLock(), l.Acquire(t.Context())} {
		require.ErrorIs(t, err, want)
		require.NotErrorIs(t, err, filelock.ErrLocked)
		require.NotErrorIs(t, err, filelock.ErrTimeout)
		var pathErr *fs.PathError
		require.ErrorAs(t, err, &pathErr)
		require.Equal(t, filepath.Dir(l.Path()), filepath.Dir(pathErr.Path))
		require.False(t, l.Held())
	}
}

func TestNoSpace(t *testing.T) {
	dir := mount(t, "tmpfs", "nr_inodes=2")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "last"), nil, 0o666))
	l := newLock(t, filepath.Join(dir, "target"))
	requireRefused(t, l, syscall.ENOSPC)
	require.NoError(t, os.Remove(filepath.Join(dir, "last")))
	require.NoError(t, l.TryLock(), "and nothing is left of it")
	require.NoError(t, l.Unlock())
}

func TestReadOnly(t *testing.T) {
	dir := mount(t, "tmpfs", "ro")
	requireRefused(t, newLock(t, filepath.Join(dir, "target")), syscall.EROFS)
}

// TestCannotBeGivenBack: whatever Unlock returns, the lock is not held any more.
// A ticket that cannot be removed keeps nobody out, and goes as soon as it can.
func TestCannotBeGivenBack(t *testing.T) {
	dir := t.TempDir()
	immutable := func(flag string) error { return exec.Command("chattr", flag, dir).Run() }
	path := filepath.Join(dir, "target")
	l := newLock(t, path)
	require.NoError(t, l.TryLock())
	release, err := l.Hold(canceled(t))
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, release)
	if err := immutable("+i"); err != nil {
		t.Skipf("needs chattr, and the right to make a directory immutable: %v", err)
	}
	t.Cleanup(func() { immutable("-i") })
	err = l.Unlock()
	t.Log(err)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.False(t, l.Held())
	require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	require.Len(t, q.Tickets, 1)
	require.NotContains(t, []filelock.State{filelock.Inside, filelock.Alive}, q.Tickets[0].State)

	require.NoError(t, immutable("-i"))
	acquire(t, l)
	require.NoError(t, l.Unlock())
	eventually(t, "the first ticket's removal", func() bool { return len(tickets(t, dir)) == 0 })
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestUnwritable(t *testing.T) {
	sealed := t.TempDir()
	require.NoError(t, os.Chmod(sealed, 0o555))
	for _, dir := range []string{sealed, "/sys/kernel"} { // where not even root may create a file
		err := os.Mkdir(filepath.Join(dir, "probe"), 0o777)
		if errors.Is(err, fs.ErrPermission) {
			requireRefused(t, newLock(t, filepath.Join(dir, "target")), fs.ErrPermission)
			return
		}
		t.Logf("%s does not refuse for want of a right: %v", dir, err)
	}
	t.Skip("this process may create files wherever there can be any")
}

// TestTicketAtTheEndOfTime: no number can be stored above it, so that nobody
// may enter; the error says what to remove.
func TestTicketAtTheEndOfTime(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "target")
		last := path + ".lock.elsewhere.1.planted.pid"
		require.NoError(t, os.WriteFile(last, nil, 0o666))
		end := unix.Timespec{Nsec: 999_999_999}
		end.Sec = 1<<(8*unsafe.Sizeof(end.Sec)-1) - 1
		require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, last, []unix.Timespec{end, end}, 0))
		l := newLock(t, path)
		for _, err := range []error{l.TryLock(), l.Acquire(t.Context())} {
			require.ErrorContains(t, err, filepath.Base(last))
			require.ErrorContains(t, err, "remove it")
			require.NotErrorIs(t, err, filelock.ErrLocked)
			require.False(t, l.Held())
			require.Len(t, tickets(t, dir), 1)
		}
		require.NoError(t, os.Remove(last))
		require.NoError(t, l.TryLock())
		require.NoError(t, l.Unlock())
	})
}

// TestVetCatchesCopies: a FileLock must not be copied, and vet says so.
func TestVetCatchesCopies(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go vet")
	}
	dir, err := os.MkdirTemp("testdata", "copy-")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		t.Skipf("the module's folder cannot be written to: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	const program = `package main

import "github.com/filelock-go/filelock"

func main() {
	l, _ := filelock.New("x")
	copied := *l
	_ = &copied
}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o666))
	out, err := exec.Command("go", "vet", "./"+dir).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("no go command")
	}
	require.Error(t, err)
	require.True(t, strings.Contains(string(out), "copies lock value"), "%s", out)
}

// TestTicketThatStays: a waiter whose ticket cannot be removed when it gives up
// says so, and the ticket is removed later, though nobody asks for the lock.
func TestTicketThatStays(t *testing.T) {
	path := target(t)
	holder := newLock(t, path, filelock.WithLease(time.Hour)) // a line of its own
	require.NoError(t, holder.TryLock())
	l := newLock(t, path, filelock.WithTimeout(50*time.Millisecond))
	err := filelock.RefuseRemovals(func() error { return l.Acquire(context.Background()) }, 2)
	require.ErrorIs(t, err, filelock.ErrTimeout)
	require.ErrorIs(t, err, syscall.EIO)
	var busy *filelock.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, os.Getpid(), busy.Holder.PID)
	require.Len(t, tickets(t, filepath.Dir(path)), 2)
	queued(t, filepath.Dir(path), 1)
	require.NoError(t, holder.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}

func init() {
	locktest.Register("bequeath", bequeathChild)
}

// bequeathChild takes the lock and leaves its witness to a child of its own.
func bequeathChild(args []string) error {
	l, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	witness, err := l.Witness()
	if err != nil {
		return err
	}
	heir := locktest.Idler()
	heir.ExtraFiles = []*os.File{witness}
	if err := heir.Start(); err != nil {
		return err
	}
	locktest.Say("%d", heir.Process.Pid)
	locktest.Gate()
	return nil
}

// TestOutOfDescriptors: who has no descriptor left to look at the witness does
// not take its owner for dead, though the owner's own process is.
func TestOutOfDescriptors(t *testing.T) {
	path := target(t)
	c := locktest.Start(t, "bequeath", path)
	heir, err := strconv.Atoi(c.Line())
	require.NoError(t, err)
	t.Cleanup(func() { syscall.Kill(heir, syscall.SIGKILL) })
	c.Kill()

	// A ticket in the same directory keeps that open.
	other := newLock(t, path+" other")
	require.NoError(t, other.TryLock())
	l := newLock(t, path, filelock.WithTimeout(100*time.Millisecond))
	release := useUpDescriptors(t, 1) // for the ticket
	err = l.Acquire(context.Background())
	release()
	require.ErrorIs(t, err, filelock.ErrTimeout)
	require.False(t, l.Held())
	require.NoError(t, other.Unlock())

	require.NoError(t, syscall.Kill(heir, syscall.SIGKILL))
	acquire(t, l)
	require.NoError(t, l.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}

// useUpDescriptors leaves this process so many descriptors, until release.
func useUpDescriptors(t *testing.T, spare int) (release func()) {
	t.Helper()
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before))
	limit := before
	limit.Cur = 128
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	var fds []int
	for {
		fd, err := syscall.Open("/dev/null", syscall.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		fds = append(fds, fd)
	}
	for _, fd := range fds[len(fds)-spare:] {
		syscall.Close(fd)
	}
	fds = fds[:len(fds)-spare]
	return func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before))
	}
}
