//go:build unix

package ticketdir

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/queue"
)

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
				require.NoError(t, o.Settle(true))
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

	CloseIdle()
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

// idleDirs leaves n directories idle, and returns them in the order of use.
func idleDirs(t *testing.T, n int) (dirs []string) {
	t.Helper()
	parent := t.TempDir()
	for i := range n {
		dir := filepath.Join(parent, fmt.Sprint(i))
		require.NoError(t, os.Mkdir(dir, 0o777))
		require.NoError(t, create(t, queueIn(dir)).Remove())
		dirs = append(dirs, dir)
	}
	return dirs
}

func openDirs(dirs []string) (open []string) {
	for _, dir := range dirs {
		if openHandleOf(dir) != nil {
			open = append(open, dir)
		}
	}
	return open
}

// TestFewIdle: who goes from directory to directory keeps few of them open, and
// those the ones used last.
func TestFewIdle(t *testing.T) {
	CloseIdle()
	used := create(t, queueIn(t.TempDir()))
	dirs := idleDirs(t, 40)
	assert.Equal(t, dirs[len(dirs)-maxIdle:], openDirs(dirs))
	assert.Len(t, list(t, used), 1, "one in use is not given up")

	oldest := dirs[len(dirs)-maxIdle]
	require.NoError(t, create(t, queueIn(oldest)).Remove()) // not any more
	idleDirs(t, maxIdle-1)
	assert.Equal(t, []string{oldest}, openDirs(dirs))

	CloseIdle()
	assert.Empty(t, openDirs(dirs))
	assert.Len(t, list(t, used), 1)
	require.NoError(t, used.Remove())
	CloseIdle()
	assert.Empty(t, handles.idle)
	assert.Empty(t, handles.open)
}

// TestNoDescriptors: for want of a descriptor, idle directories are given up.
func TestNoDescriptors(t *testing.T) {
	CloseIdle()
	q, r := queueIn(t.TempDir()), queueIn(t.TempDir())
	a := create(t, q)
	idle := idleDirs(t, 3)

	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	few := limit
	few.Cur = 100
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	var taken []int
	takeAll := func() {
		for {
			fd, err := unix.Dup(a.fd)
			if err != nil {
				require.ErrorIs(t, err, unix.EMFILE)
				return
			}
			taken = append(taken, fd)
		}
	}
	takeAll()
	defer func() {
		for _, fd := range taken {
			unix.Close(fd)
		}
	}()

	o := New(r)
	_, err := o.Create() // a directory and a ticket
	require.NoError(t, err)
	assert.Empty(t, openDirs(idle))
	require.NoError(t, o.Remove())
	takeAll()
	b, err := a.OpenOther(a.Name()) // where the other directory was
	require.NoError(t, err)
	b.Close()
	takeAll()
	_, err = a.OpenOther(a.Name())
	requirePathError(t, err, "open", a.Path(), unix.EMFILE)
}
