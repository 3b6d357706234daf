package ticketdir

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
)

// TestHeirs: a duplicate of the open ticket, as a child inherits it, keeps the
// locks when the owner dies; the last one's end ends them.
func TestHeirs(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		q := queueIn(dir)
		a, v := create(t, q), view(t, q)
		settle(t, a, false)
		enter(t, a)
		var heirs []*os.File
		for range 2 {
			f, err := a.Witness()
			require.NoError(t, err)
			defer f.Close()
			assert.Equal(t, a.Path(), f.Name())
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
			require.NoError(t, err)
			assert.NotZero(t, flags&unix.FD_CLOEXEC, "every child would have it")
			heirs = append(heirs, f)
		}
		b := other(t, v, a.Name())
		unix.Close(a.fd) // as the kernel does for a dead owner
		a.fd, a.entered = -1, false
		for _, f := range heirs {
			requireLocks(t, b, liveness.Held, liveness.Held)
			require.Equal(t, ErrInside, v.Reclaim(b))
			require.NoError(t, f.Close())
		}
		requireLocks(t, b, liveness.Free, liveness.Free)
		require.NoError(t, v.Reclaim(b))
	})
}

// TestHeirsWitness: who asks for the witness has it held, and the heirs of an
// owner that has left are not inside, nor do they seem to wait.
func TestHeirsWitness(t *testing.T) {
	q := queueIn(t.TempDir())
	a, v := create(t, q), view(t, q)
	b := other(t, v, a.Name())
	settle(t, a, false)
	f, err := a.Witness()
	require.NoError(t, err)
	defer f.Close()
	requireLocks(t, b, liveness.Free, liveness.Held)
	enter(t, a)
	require.NoError(t, a.Remove())
	requireLocks(t, b, liveness.Free, liveness.Free)
}
