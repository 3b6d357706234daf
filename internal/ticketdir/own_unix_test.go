//go:build unix

package ticketdir

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

func TestLifeCycle(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, b := create(t, q), create(t, q)
		assert.Equal(t, dir+"/"+a.Name(), a.Path())
		n, ok := ticket.Parse(q.Prefix, a.Name())
		require.True(t, ok)
		assert.Equal(t, os.Getpid(), n.PID)
		self, err := liveness.Self()
		require.NoError(t, err)
		assert.Equal(t, self.Host, n.Host)
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
		require.NoError(t, a.Settle(true))
		now, err := a.Enter()
		require.NoError(t, err)
		assert.Equal(t, want, now)

		ahead, err := a.Remaining([]queue.Ticket{{Name: b.Name()}, {Name: "t.lock.h.1.gone.pid"}})
		require.NoError(t, err)
		risen := queue.Ticket{Name: b.Name()}
		if a.Entries() {
			risen.Number = mtime(t, b.Path())
		}
		assert.Equal(t, []queue.Ticket{risen}, ahead)

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
			each(t, a.h, func(t *testing.T) {
				p, err := b.Stat(a.Name())
				require.NoError(t, err)
				assert.Equal(t, stored, p.Number)
				assert.Equal(t, stored, look(t, other(t, &b.View, a.Name())).Number)
			})
		}
	})
}

// TestGone: each method that the own ticket matters to notices its loss.
func TestGone(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		for name, f := range map[string]func(*Own) error{
			"List":     func(o *Own) error { _, err := o.List(); return err },
			"Renumber": func(o *Own) error { _, err := o.Renumber(queue.Number{Sec: 1}); return err },
			"Settle":   func(o *Own) error { return o.Settle(true) },
			"Enter":    func(o *Own) error { _, err := o.Enter(); return err },
			"Beat":     (*Own).Beat,
			"Remove":   (*Own).Remove,
		} {
			o := create(t, queueIn(dir))
			each(t, o.h, func(t *testing.T) {
				o := create(t, queueIn(dir))
				list(t, o)
				if name == "Beat" || name == "Enter" {
					require.NoError(t, o.Settle(true))
				}
				require.NoError(t, os.Remove(o.Path()))
				assert.ErrorIs(t, f(o), queue.ErrGone, name)
				o.Remove()
			})
			require.NoError(t, o.Remove())
		}
	})
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
	require.NoError(t, a.Settle(false))
	for sec := range int64(3) {
		setMtime(t, b.Path(), queue.Number{Sec: sec})
		assert.Equal(t, queue.Number{Sec: sec}, list(t, a)[b.Name()])
	}
}

func TestErrorsTell(t *testing.T) {
	q := queueIn(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, os.WriteFile(q.Dir, nil, 0o644))
	_, err := New(q).Create()
	requirePathError(t, err, "open", q.Dir, unix.ENOTDIR)
	assert.True(t, strings.HasPrefix(fmt.Sprint(err), "open "+q.Dir), err)
}
