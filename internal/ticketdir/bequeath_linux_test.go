package ticketdir

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
)

// inherited makes a ticket that is inside, and whose witness somebody has.
func inherited(t *testing.T, q Queue) (o *Own, witness *os.File) {
	t.Helper()
	o = create(t, q)
	list(t, o)
	settle(t, o, false)
	enter(t, o)
	witness, err := o.Witness()
	require.NoError(t, err)
	t.Cleanup(func() { witness.Close() })
	return o, witness
}

// TestBequeath: the locks are the heir's until it closes the ticket. Then the
// ticket is at rest, which lets anybody remove it at sight, though the process of
// its name lives.
func TestBequeath(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		o, witness := inherited(t, q)
		v := view(t, q)
		b := other(t, v, o.Name())
		require.True(t, o.Shared())
		heirs, err := o.Bequeath()
		require.NoError(t, err)
		assert.True(t, heirs)
		assert.True(t, o.Tidied())
		requireLocks(t, b, liveness.Held, liveness.Held)
		require.Equal(t, ErrInside, v.Reclaim(b))
		held, err := v.RemoveUnheld(o.Name())
		require.NoError(t, err)
		require.True(t, held)

		require.NoError(t, witness.Close())
		requireLocks(t, b, liveness.Free, liveness.Free)
		require.True(t, look(t, b).Marked)
		require.NoError(t, v.ReclaimAtRest(b))
		held, err = v.RemoveUnheld(o.Name()) // which is no more
		require.NoError(t, err)
		require.False(t, held)
		require.NoError(t, o.Remove(), "it is not its own any more")
	})
}

// TestBequeathToNobody: with the witness closed the ticket is removed at once, and
// so it is later by whoever left it behind.
func TestBequeathToNobody(t *testing.T) {
	q := queueIn(t.TempDir())
	o, witness := inherited(t, q)
	require.NoError(t, witness.Close())
	heirs, err := o.Bequeath()
	require.NoError(t, err)
	require.False(t, heirs)
	require.Empty(t, names(t, q.Dir))
}

// TestBequeathKeepsWhatIsUnseen: where the locks cannot be looked at, the heirs may
// be inside.
func TestBequeathKeepsWhatIsUnseen(t *testing.T) {
	was := ofd
	t.Cleanup(func() { ofd = was })
	q := queueIn(t.TempDir())
	o, witness := inherited(t, q)
	require.NoError(t, witness.Close())
	ofd = func(fd, cmd int, lock int16, start, length int64, atOnce bool) (int16, error) {
		if cmd == unix.F_OFD_GETLK {
			return 0, unix.ENOLCK
		}
		return was(fd, cmd, lock, start, length, atOnce)
	}
	_, err := o.Bequeath()
	requirePathError(t, err, "lock", o.Path(), unix.ENOLCK)
	require.Len(t, names(t, q.Dir), 1)
	ofd = was
	held, err := view(t, q).RemoveUnheld(o.Name())
	require.NoError(t, err)
	require.False(t, held)
	require.Empty(t, names(t, q.Dir))
}

// TestBequeathManyKernels: without entry locks the witness is what tells, and nobody
// else can see that no heir is left.
func TestBequeathManyKernels(t *testing.T) {
	q := queueIn(t.TempDir())
	o := create(t, q)
	each(t, o.h, func(t *testing.T) {
		o, witness := inherited(t, q)
		name, many := o.Name(), !o.h.oneKernel()
		heirs, err := o.Bequeath()
		require.NoError(t, err)
		require.True(t, heirs)
		require.Equal(t, !many, o.Tidied())
		require.NoError(t, witness.Close())
		held, err := view(t, q).RemoveUnheld(name)
		require.NoError(t, err)
		require.False(t, held)
		require.Len(t, names(t, q.Dir), 1, "only that of this test")
	})
}

// TestBequeathLost: a ticket that was taken away is nobody's to leave.
func TestBequeathLost(t *testing.T) {
	q := queueIn(t.TempDir())
	o, _ := inherited(t, q)
	require.NoError(t, os.Remove(o.Path()))
	_, err := o.Bequeath()
	require.ErrorIs(t, err, queue.ErrGone)
}
