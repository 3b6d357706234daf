package passage

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// TestEvictUnreadable: of a ticket that may not be read it is not known whether its owner
// is inside, but its process may be known to run: then the owner lives, and may be inside.
// The owner's mode hides the one and not the other.
func TestEvictUnreadable(t *testing.T) {
	const somebody = 54321
	dir, err := os.MkdirTemp("", "filelock-test-") // others may not enter t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if !ticketdir.OneKernel(dir) {
		t.Skip("needs a local filesystem for its temporary directory")
	}
	require.NoError(t, os.Chmod(dir, 0o777))
	cfg := &Config{Queue: ticketdir.Queue{Dir: dir, Prefix: prefix}, Site: new(Site)}
	cfg.Queue.Prepare()
	cfg.Site.Find(dir)
	self, err := liveness.Self()
	require.NoError(t, err)
	plant := func(start uint64) string {
		name := ticket.Name{Host: "here", PID: self.PID, Start: start, Nonce: ticket.NewNonce(), PIDSpace: self.PIDSpace, Place: 1}.Format(prefix)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		return name
	}
	runs, gone := plant(self.Start), plant(self.Start+1)

	// The rights on files are this thread's own.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer unix.SetfsuidRetUid(os.Geteuid())
	unix.SetfsuidRetUid(somebody)
	if is, _ := unix.SetfsuidRetUid(-1); is != somebody {
		t.Skip("this process may not be another user")
	}
	c, err := Evict(cfg, runs)
	require.ErrorIs(t, err, ticketdir.ErrInside, c.Reason)
	require.False(t, c.Guarded)
	require.FileExists(t, filepath.Join(dir, runs))
	_, err = Evict(cfg, gone)
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(dir, gone))
}
