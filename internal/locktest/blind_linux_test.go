package locktest_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/locktest"
)

func TestMain(m *testing.M) {
	locktest.RunChild()
	os.Exit(m.Run())
}

func init() {
	locktest.Register("sees", func([]string) error {
		locktest.Say("%t", instance() == nil)
		locktest.Gate()
		return nil
	})
}

// instance makes an inotify instance, and closes it.
func instance() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	return errors.Join(err, unix.Close(fd))
}

// TestStartBlind: the child gets no inotify instance, and others of the same user get
// theirs meanwhile.
func TestStartBlind(t *testing.T) {
	if err := instance(); err != nil {
		t.Skip("the user has no inotify instance left: ", err)
	}
	const limit = "/proc/sys/user/max_inotify_instances"
	before, err := os.ReadFile(limit)
	if err != nil {
		t.Skip("the limit cannot be seen here: ", err)
	}
	blind := locktest.StartBlind(t, "sees")
	blind.Expect("false")
	other := locktest.Start(t, "sees")
	other.Expect("true")
	require.NoError(t, instance())
	now, err := os.ReadFile(limit)
	require.NoError(t, err)
	require.Equal(t, before, now)
	blind.Go()
	blind.Done()
	other.Go()
	other.Done()
}
