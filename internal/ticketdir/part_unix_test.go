//go:build unix

package ticketdir

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
)

// TestClosedTicket: where every close asks a server, as FUSE's does, the own
// ticket is not kept open, and does all that an open one does.
func TestClosedTicket(t *testing.T) {
	umask := unix.Umask(0o077)
	defer unix.Umask(umask)
	q := queueIn(t.TempDir())
	first := create(t, q)
	first.h.filesystem.OneKernel, first.h.followsOpen = false, true
	o := create(t, q)
	require.Same(t, first.h, o.h)
	require.Negative(t, o.fd)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(o.Path(), &st))
	assert.Equal(t, uint32(q.Mode.Perm()), uint32(st.Mode&0o777), "whatever the umask")

	number := list(t, o)[o.Name()]
	assert.Equal(t, mtime(t, o.Path()), number)
	above := queue.Number{Sec: number.Sec + 1, Nsec: 7}
	stored, err := o.Renumber(above)
	require.NoError(t, err)
	assert.Equal(t, above, stored)
	require.NoError(t, o.Announce(stored))
	assert.Equal(t, above, list(t, o)[o.Name()])
	require.NoError(t, o.Settle(true))
	entered, err := o.Enter()
	require.NoError(t, err)
	assert.Equal(t, above, entered)
	require.NoError(t, o.Beat())
	require.Negative(t, o.fd)

	// The witness takes the file itself.
	f, err := o.Witness()
	require.NoError(t, err)
	defer f.Close()
	require.GreaterOrEqual(t, o.fd, 0)
	witness, err := witnessOf(other(t, &first.View, o.Name()).fd)
	require.NoError(t, err)
	assert.Equal(t, liveness.Held, witness)

	require.NoError(t, o.Remove())
	assert.Equal(t, []string{first.Name()}, names(t, q.Dir))
	require.NoError(t, first.Remove())

	gone := create(t, q)
	gone.h.filesystem.OneKernel, gone.h.followsOpen = false, true
	gone.part()
	require.NoError(t, unix.Unlink(gone.Path()))
	_, err = gone.read(gone.Name())
	require.ErrorIs(t, err, queue.ErrGone)
	_, err = gone.Witness()
	require.ErrorIs(t, err, unix.ENOENT)
	require.ErrorIs(t, gone.Remove(), queue.ErrGone)
}
