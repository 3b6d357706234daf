//go:build linux

package filelock_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("patient", patientChild)
}

// patientChild is holdChild, with an interval that no test waits for.
func patientChild(args []string) error {
	l, err := filelock.New(args[0], filelock.WithPollInterval(time.Hour))
	if err != nil {
		return err
	}
	return holdUntilTold(l)
}

// takeInstances takes all inotify instances that the user has left, until the test
// ends.
func takeInstances(t *testing.T) {
	t.Helper()
	var taken []int
	t.Cleanup(func() {
		for _, fd := range taken {
			unix.Close(fd)
		}
	})
	const most = 10_000
	for len(taken) < most {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			require.ErrorIs(t, err, unix.EMFILE)
			break
		}
		taken = append(taken, fd)
	}
	if len(taken) == most {
		t.Skip("there is no end of inotify instances here")
	}
}

// TestNoInotifyInstanceLeft: where the user has no inotify instance left, the
// lock still passes on in order, and long before the next poll is due.
func TestNoInotifyInstanceLeft(t *testing.T) {
	takeInstances(t)
	path := target(t)
	var children []*locktest.Child
	for i := range 6 {
		children = append(children, locktest.Start(t, "patient", path))
		if i == 0 {
			children[0].Expect("held")
		}
		settled(t, path, i+1)
	}
	began := time.Now()
	for i, c := range children {
		if i > 0 {
			c.Expect("held")
		}
		for _, behind := range children[i+1:] {
			require.True(t, behind.Silent(0), "another entered")
		}
		c.Go()
		c.Done()
	}
	t.Logf("%d hand-offs in %v", len(children)-1, time.Since(began))
	requireNoTickets(t, filepath.Dir(path))
}
