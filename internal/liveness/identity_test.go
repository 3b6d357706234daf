package liveness

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/ticket"
)

// readAnew has Self read the identity with f, and again for those who come after.
func readAnew(t *testing.T, f func(*Identity) error) {
	t.Helper()
	was := fill
	forget := func() {
		self.Lock()
		defer self.Unlock()
		self.known = false
	}
	fill = f
	forget()
	t.Cleanup(func() {
		fill = was
		forget()
	})
}

// TestSelfIsReadAgain: a failure is not remembered, and what was read is.
func TestSelfIsReadAgain(t *testing.T) {
	space := ticket.HashOf("here")
	readings := 0
	readAnew(t, func(id *Identity) error {
		if readings++; readings < 3 {
			id.PIDSpace = ticket.HashOf("half read")
			return syscall.EMFILE
		}
		id.PIDSpace = space
		return nil
	})
	for range 2 {
		id, err := Self()
		require.ErrorIs(t, err, syscall.EMFILE)
		require.Equal(t, Identity{}, id, "nothing can be made of half an identity")
	}
	for range 2 {
		id, err := Self()
		require.NoError(t, err)
		require.Equal(t, space, id.PIDSpace)
		require.Equal(t, os.Getpid(), id.PID)
		require.Equal(t, ticket.Hostname(id.RawHost), id.Host)
	}
	require.Equal(t, 3, readings)
}
