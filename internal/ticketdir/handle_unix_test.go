//go:build unix

package ticketdir

import (
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
