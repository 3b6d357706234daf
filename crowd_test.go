//go:build linux

package filelock_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// TestNoInotifyInstanceLeft: where there is no inotify instance left for them, the
// lock still passes on in order, and long before the next poll is due.
func TestNoInotifyInstanceLeft(t *testing.T) {
	path := target(t)
	var children []*locktest.Child
	for i := range 6 {
		children = append(children, locktest.StartBlind(t, "patient", path))
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
	took, handOffs := time.Since(began), len(children)-1
	t.Logf("%d hand-offs in %v", handOffs, took)
	require.Less(t, took/time.Duration(handOffs), lateness)
	requireNoTickets(t, filepath.Dir(path))
}
