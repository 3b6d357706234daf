package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

func TestLockAndUnlock(t *testing.T) {
	path := target(t)
	l := newLock(t, path)
	require.False(t, l.Held())
	require.NoError(t, l.Acquire(t.Context()))
	require.True(t, l.Held())
	require.Len(t, tickets(t, filepath.Dir(path)), 1)
	require.NoFileExists(t, path, "the target is left alone")

	second := newLock(t, path)
	require.ErrorIs(t, second.TryLock(), filelock.ErrLocked)
	require.ErrorIs(t, second.Unlock(), filelock.ErrNotLocked, "only who took it gives it back")

	require.NoError(t, l.Unlock())
	require.False(t, l.Held())
	require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
	requireNoTickets(t, filepath.Dir(path))
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o666))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o777))
	good := filepath.Join(dir, "target")
	tests := []struct {
		name string
		path string
		opt  filelock.Option
		want error
	}{
		{"empty path", "", nil, filelock.ErrInvalid},
		{"NUL byte", good + "\x00", nil, filelock.ErrInvalid},
		{"directory", filepath.Join(dir, "sub"), nil, filelock.ErrInvalid},
		{"trailing slash", good + "/", nil, filelock.ErrInvalid},
		{"dot", filepath.Join(dir, "sub") + "/.", nil, filelock.ErrInvalid},
		{"dot dot", filepath.Join(dir, "sub") + "/..", nil, filelock.ErrInvalid},
		{"missing parent", filepath.Join(dir, "no", "target"), nil, fs.ErrNotExist},
		{"file as parent", filepath.Join(dir, "file", "target"), nil, syscall.ENOTDIR},
		{"link to itself", filepath.Join(dir, "loop"), nil, syscall.ELOOP},
		{"name too long", filepath.Join(dir, strings.Repeat("x", 300)), nil, syscall.ENAMETOOLONG},
		{"no poll interval", good, filelock.WithPollInterval(0), filelock.ErrInvalid},
		{"negative poll interval", good, filelock.WithPollInterval(-1), filelock.ErrInvalid},
		{"negative timeout", good, filelock.WithTimeout(-1), filelock.ErrInvalid},
		{"negative batch", good, filelock.WithBatch(-1), filelock.ErrInvalid},
		{"no lease", good, filelock.WithLease(0), filelock.ErrInvalid},
		{"half a lease", good, filelock.WithLease(1500 * time.Millisecond), filelock.ErrInvalid},
		{"nil logger", good, filelock.WithLogger(nil), filelock.ErrInvalid},
		{"nil slog logger", good, filelock.WithSlog(nil), filelock.ErrInvalid},
		{"write-only mode", good, filelock.WithFileMode(0o222), filelock.ErrInvalid},
		{"mode with type bits", good, filelock.WithFileMode(fs.ModeDir | 0o700), filelock.ErrInvalid},
		{"empty queue directory", good, filelock.WithQueueDir(""), filelock.ErrInvalid},
		{"missing queue directory", good, filelock.WithQueueDir(filepath.Join(dir, "no")), fs.ErrNotExist},
		{"file as queue directory", good, filelock.WithQueueDir(filepath.Join(dir, "file")), syscall.ENOTDIR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && errors.As(tt.want, new(syscall.Errno)) {
				t.Skip("Windows has other error numbers")
			}
			var opts []filelock.Option
			if tt.opt != nil {
				opts = append(opts, tt.opt)
			}
			l, err := filelock.New(tt.path, opts...)
			require.Nil(t, l)
			require.ErrorIs(t, err, tt.want)
			var e *filelock.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "new", e.Op)
			require.Equal(t, tt.path, e.Path)
		})
	}
	t.Run("nil option", func(t *testing.T) {
		_, err := filelock.New(good, nil)
		require.ErrorIs(t, err, filelock.ErrInvalid)
	})
	requireNoTickets(t, dir)
}

func TestNilContext(t *testing.T) {
	l := newLock(t, target(t))
	var none context.Context
	require.ErrorIs(t, l.Acquire(none), filelock.ErrInvalid)
	require.ErrorIs(t, l.TryAcquire(none), filelock.ErrInvalid)
	_, err := l.Hold(none)
	require.ErrorIs(t, err, filelock.ErrInvalid)
	require.False(t, l.Held())
}

// TestStrangeNames: each of them is a lock of its own, and none sees another's
// tickets for its own.
func TestStrangeNames(t *testing.T) {
	names := []string{
		"a", "a.lock.b", "a.lock.h.1.t", "with.dots.in.it", "with space", "glob*?[x]", "-dash", "~tilde",
		"ünïcödé", "日本語", "a.pid", ".lock.", "..x", strings.Repeat("long", 60), strings.Repeat("é", 100),
		strings.Repeat("x", 62), strings.Repeat("x", 63), strings.Repeat("x", 255),
	}
	if runtime.GOOS == "linux" {
		names = append(names, "new\nline", "not\xffutf8\xfe", "back\\slash", strings.Repeat("\xff", 200))
	}
	if runtime.GOOS == "windows" {
		names = []string{"a", "a.lock.b", "with.dots.in.it", "with space", "日本語"}
	}
	for where, opts := range map[string][]filelock.Option{
		"beside": nil, "queue directory": {filelock.WithQueueDir(t.TempDir())},
	} {
		t.Run(where, func(t *testing.T) {
			dir := t.TempDir()
			var held []*filelock.FileLock
			for _, name := range names {
				l := newLock(t, filepath.Join(dir, name), opts...)
				require.NoError(t, l.TryLock(), "%q", name)
				again := newLock(t, filepath.Join(dir, name), opts...)
				require.ErrorIs(t, again.TryLock(), filelock.ErrLocked, "%q", name)
				q, err := filelock.Inspect(filepath.Join(dir, name), opts...)
				require.NoError(t, err)
				require.Len(t, q.Tickets, 1, "%q", name)
				held = append(held, l)
			}
			for _, l := range held {
				require.NoError(t, l.Unlock())
			}
			requireNoTickets(t, dir)
		})
	}
}

// TestSpellings: all ways to name one file are one lock.
func TestSpellings(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	require.NoError(t, os.MkdirAll(filepath.Join(real, "sub"), 0o777))
	for link, to := range map[string]string{
		"dirlink": "real", "real/filelink": "target", "abslink": filepath.Join(real, "target"),
		"real/dangling": "sub/../target", "sublink": "real/sub",
	} {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, link)))
	}
	t.Chdir(dir)
	l := newLock(t, filepath.Join(real, "target"))
	require.NoError(t, l.TryLock())
	for _, spelling := range []string{
		"real/target", "./real//target", "real/./target", "real/sub/../target", "dirlink/target", "real/filelink",
		"abslink", "real/dangling", dir + "/dirlink/filelink", "sublink/../target",
	} {
		other := newLock(t, spelling)
		require.Equal(t, l.Path(), other.Path(), spelling)
		require.ErrorIs(t, other.TryLock(), filelock.ErrLocked, spelling)
	}
	queueDir := filepath.Join(dir, "queue")
	require.NoError(t, os.Mkdir(queueDir, 0o777))
	require.NoError(t, os.Symlink("queue", filepath.Join(dir, "queuelink")))
	a := newLock(t, "real/target", filelock.WithQueueDir("queue"))
	b := newLock(t, "abslink", filelock.WithQueueDir(dir+"/queuelink"))
	require.NoError(t, a.TryLock(), "another queue directory is another lock")
	require.ErrorIs(t, b.TryLock(), filelock.ErrLocked)
	require.NoError(t, a.Unlock())
	require.NoError(t, l.Unlock())
}

func TestWithCreateDirs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "target")
	l := newLock(t, path, filelock.WithCreateDirs())
	require.NoError(t, l.TryLock())
	require.NoError(t, l.Unlock())
	require.NoError(t, os.RemoveAll(filepath.Dir(filepath.Dir(path))))
	require.NoError(t, l.TryLock(), "they are created again")
	require.NoError(t, l.Unlock())

	plain := newLock(t, path)
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))
	require.ErrorIs(t, plain.TryLock(), fs.ErrNotExist)
	require.False(t, plain.Held())
}

// TestReplacedDirectory: a lock follows its path, not the directory that it
// found there once.
func TestReplacedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	require.NoError(t, os.Mkdir(dir, 0o777))
	path := filepath.Join(dir, "target")
	a := newLock(t, path)
	require.NoError(t, a.TryLock())
	require.NoError(t, a.Unlock())
	require.NoError(t, os.Rename(dir, dir+".old"))
	require.NoError(t, os.Mkdir(dir, 0o777))
	require.NoError(t, a.TryLock())
	require.Len(t, tickets(t, dir), 1, "the ticket is where the path leads")
	requireNoTickets(t, dir+".old")
	require.ErrorIs(t, newLock(t, path).TryLock(), filelock.ErrLocked)
	require.NoError(t, a.Unlock())
	requireNoTickets(t, dir)
}

func TestTicketDeletedUnderAHolder(t *testing.T) {
	path := target(t)
	l := newLock(t, path)
	require.NoError(t, l.TryLock())
	for _, name := range tickets(t, filepath.Dir(path)) {
		require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), name)))
	}
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	require.False(t, l.Held())
	require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
	require.NoError(t, l.TryLock(), "it can be taken again")
	require.NoError(t, l.Unlock())
}

// TestQueueRemovedUnderWaiters: nobody enters by a queue that is gone, and those
// who waited go on waiting for the holder.
func TestQueueRemovedUnderWaiters(t *testing.T) {
	queue := filepath.Join(t.TempDir(), "queue")
	require.NoError(t, os.Mkdir(queue, 0o777))
	path := target(t)
	holder := newLock(t, path, filelock.WithQueueDir(queue))
	require.NoError(t, holder.TryLock())
	// Another lease makes a ticket of its own, rather than a place in line.
	waiter := newLock(t, path, filelock.WithQueueDir(queue), filelock.WithLease(time.Hour))
	waiting := start(func() error { return waiter.Acquire(context.Background()) })
	queued(t, queue, 2)
	requireBlocks(t, waiting)
	// The waiter's first: it may rightly enter as long as its own is there.
	for _, name := range tickets(t, queue) {
		if strings.Contains(name, "x3600") {
			require.NoError(t, os.Remove(filepath.Join(queue, name)))
		}
	}
	require.NoError(t, os.RemoveAll(queue))
	requireBlocks(t, waiting)
	require.ErrorIs(t, holder.Unlock(), filelock.ErrLost)
	require.ErrorIs(t, result(t, waiting), fs.ErrNotExist, "there is no directory to start anew in")
	require.False(t, waiter.Held())
	require.ErrorIs(t, holder.TryLock(), fs.ErrNotExist)
}

// TestJunk: files that are not tickets are not waited for.
func TestJunk(t *testing.T) {
	path := target(t)
	nonce := strings.Repeat("0", 32)
	for _, name := range []string{
		".lock", ".lock.", ".lock.pid", ".lock.host.pid", ".lock.host.1.pid", ".lock..1.tok.pid", ".lock.host.1..pid",
		".lock.host.x.tok.pid", ".lock.host.-1.tok.pid", ".lock.host.+1.tok.pid", ".lock.host.0.tok.pid",
		".lock.host.99999999999999999999.tok.pid", ".lock.host.1.tok.pi", ".lock.host.1.tok.pid.bak",
		".lock.other.lock.host.1." + nonce + "-1-11111111-11111111-x.pid", "x.lock.host.1.tok.pid",
		".lock.host.1." + nonce + "-1-11111111-11111111-x.0000000000000000ffffffff.raised",
	} {
		require.NoError(t, os.WriteFile(path+name, nil, 0o666))
	}
	alive := fmt.Sprintf("%s.lock.host.%d.tok", path, os.Getpid())
	require.NoError(t, os.Mkdir(alive+"1.pid", 0o777))
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Symlink(path, alive+"2.pid"))
		require.NoError(t, os.Symlink("/nowhere", alive+"3.pid"))
	}
	before := len(tickets(t, filepath.Dir(path)))
	l := newLock(t, path)
	require.NoError(t, l.TryLock())
	require.NoError(t, l.Unlock())
	require.Len(t, tickets(t, filepath.Dir(path)), before, "junk is left alone")
}

// TestPlantedTimes: tickets with times at the ends of time.
func TestPlantedTimes(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	live := fmt.Sprintf(".lock.%s.%d.planted.pid", host, os.Getpid())
	dead := fmt.Sprintf(".lock.%s.%d.planted.pid", host, 1<<22+1) // above any pid_max
	// What each filesystem has at most is found out by asking for more.
	for name, at := range map[string]time.Time{
		"before 1970": time.Unix(-1e6, 5), "at the epoch": time.Unix(0, 0), "in the far future": time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			l := newLock(t, path)
			require.NoError(t, os.WriteFile(path+dead, nil, 0o666))
			require.NoError(t, os.Chtimes(path+dead, at, at))
			if !identity().InitialPIDs { // see internal/liveness, judgePlain
				require.ErrorIs(t, l.TryLock(), filelock.ErrLocked, "in a container nobody can say that it is dead")
				require.NoError(t, os.Remove(path+dead))
			}
			require.NoError(t, l.TryLock())
			require.ErrorIs(t, newLock(t, path).TryLock(), filelock.ErrLocked)
			require.NoError(t, l.Unlock())

			require.NoError(t, os.WriteFile(path+live, nil, 0o666))
			require.NoError(t, os.Chtimes(path+live, at, at))
			require.ErrorIs(t, l.TryLock(), filelock.ErrLocked, "nobody passes a live owner's ticket")
			require.NoError(t, os.Remove(path+live))
		})
	}
}

func TestFileMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	for _, mode := range []fs.FileMode{0o600, 0o666, 0o777} {
		path := target(t)
		l := newLock(t, path, filelock.WithFileMode(mode))
		require.NoError(t, l.TryLock())
		names := tickets(t, filepath.Dir(path))
		require.Len(t, names, 1)
		info, err := os.Stat(filepath.Join(filepath.Dir(path), names[0]))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm())
		require.NoError(t, l.Unlock())
	}
}

// TestPoll: without any notice, looking again is enough.
func TestManyLocksKeepFewFilesOpen(t *testing.T) {
	dir := t.TempDir()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("no way to count descriptors here")
	}
	before := len(entries)
	for i := range 300 {
		sub := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.Mkdir(sub, 0o777))
		l := newLock(t, filepath.Join(sub, "target"))
		require.NoError(t, l.TryLock())
		require.NoError(t, l.Unlock())
	}
	eventually(t, "directories stay open", func() bool {
		entries, err := os.ReadDir("/dev/fd")
		return err == nil && len(entries) <= before+1
	})
}
