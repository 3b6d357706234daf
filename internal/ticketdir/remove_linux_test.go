package ticketdir

import (
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
