//go:build unix

package ticketdir

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// TestRaisedEntries: where attributes are cached, a raised number is told by
// a name, and so by a fresh listing.
func TestRaisedEntries(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, b := create(t, q), create(t, q)
		manyKernels(b)
		old, high := mtime(t, b.Path()), queue.Number{Sec: 1 << 33, Nsec: 7}
		_, err := b.Renumber(high)
		require.NoError(t, err)
		require.NoError(t, b.Announce(high))
		entry := ticket.Raised(b.Name(), high)
		assert.Contains(t, names(t, dir), entry)

		setMtime(t, b.Path(), old) // as another client's cache has it
		a.h.followsOpen = false
		assert.Equal(t, high, list(t, a)[b.Name()])
		a.tickets = nil // as a contender's first listing
		assert.Equal(t, high, list(t, a)[b.Name()])
		ts, err := view(t, q).List()
		require.NoError(t, err)
		assert.Equal(t, high, numbers(ts)[b.Name()])
		assert.Len(t, ts, 2)

		// Where one kernel sees everything, nobody needs them, and whoever can
		// make a file could have a holder seem to be above everybody.
		a.h.filesystem.OneKernel = true
		a.tickets = nil
		assert.Equal(t, old, list(t, a)[b.Name()])
		a.h.filesystem.OneKernel = false

		require.NoError(t, b.Remove())
		assert.Equal(t, []string{a.Name()}, names(t, dir))
		require.NoError(t, b.Remove())
	})
}

// TestRaisedEntryOfGoneTicket: its owner removes it all the same.
func TestRaisedEntryOfGoneTicket(t *testing.T) {
	q := queueIn(t.TempDir())
	a := create(t, q)
	manyKernels(a)
	for _, sec := range []int64{5, 6} {
		require.NoError(t, a.Announce(queue.Number{Sec: sec}))
	}
	assert.Len(t, names(t, q.Dir), 3)
	require.NoError(t, os.Remove(a.Path()))
	require.ErrorIs(t, a.Remove(), queue.ErrGone)
	assert.Empty(t, names(t, q.Dir))
}

// TestRaisedNameTaken: what somebody else has put where our raised entry goes
// neither counts as ours nor blocks. With a new ticket the name is another one.
func TestRaisedNameTaken(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"file": func(path string) error { return os.WriteFile(path, nil, 0o666) },
		"fifo": func(path string) error { return unix.Mkfifo(path, 0o666) },
		"link": func(path string) error { return os.Symlink("victim", path) },
	} {
		t.Run(name, func(t *testing.T) {
			a := create(t, queueIn(t.TempDir()))
			manyKernels(a)
			n := queue.Number{Sec: 1}
			entry := ticket.Raised(a.Name(), n)
			require.NoError(t, plant(a.path(entry)))
			err := a.Announce(n)
			require.ErrorIs(t, err, queue.ErrGone)
			require.ErrorIs(t, err, unix.EEXIST)
			require.NoError(t, a.Remove())
			assert.Equal(t, []string{entry}, names(t, a.q.Dir), "it is not ours to remove")
		})
	}
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

// TestOrphansOfOneCache: where listings are cached, the second one may be the
// first one again, and is no second proof.
func TestOrphansOfOneCache(t *testing.T) {
	a := create(t, queueIn(t.TempDir()))
	manyKernels(a)
	entry := ticket.Raised(ticket.Name{Host: "h", PID: 1, Nonce: ticket.NewNonce()}.Format(a.q.Prefix), queue.Number{Sec: 1})
	require.NoError(t, os.WriteFile(a.path(entry), nil, 0o644))
	for range 3 {
		list(t, a)
	}
	assert.Contains(t, names(t, a.q.Dir), entry)
	require.NoError(t, a.Announce(queue.Number{Sec: 1})) // the next one is fresh
	list(t, a)
	assert.NotContains(t, names(t, a.q.Dir), entry)
}

// TestScratchOfTheDead: a scratch entry is there for microseconds. One that is
// there for longer is nobody's.
func TestScratchOfTheDead(t *testing.T) {
	a := create(t, queueIn(t.TempDir()))
	name := a.q.newScratch()
	for _, file := range []string{name, "t.lock.scratch", "t.lock.mine.scratch", "u.lock." + ticket.NewNonce() + ".scratch"} {
		require.NoError(t, os.WriteFile(a.path(file), nil, 0o644))
	}
	for range 3 {
		assert.Len(t, list(t, a), 1)
	}
	assert.Contains(t, names(t, a.q.Dir), name)
	for file, first := range a.seen {
		first.at = first.at.Add(-scratchLife)
		a.seen[file] = first
	}
	list(t, a)
	assert.NotContains(t, names(t, a.q.Dir), name)
	assert.Len(t, names(t, a.q.Dir), 4, "what is not of the queue is left alone")
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
			o.h.filesystem.OneKernel = tt.oneKernel
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
