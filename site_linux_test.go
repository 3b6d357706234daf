package filelock_test

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestForgottenHolderExcludes: a lock whose every handle was dropped while it was held, so
// that nobody can give it back, stays held.
func TestForgottenHolderExcludes(t *testing.T) {
	path := target(t)
	func() { require.NoError(t, newLock(t, path).TryLock()) }()
	for range 3 {
		runtime.GC()
	}
	require.ErrorIs(t, newLock(t, path).TryLock(), filelock.ErrLocked)
	require.Len(t, tickets(t, filepath.Dir(path)), 1)
}
