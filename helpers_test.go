package filelock_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
)

func newLock(t testing.TB, path string, opts ...filelock.Option) *filelock.FileLock {
	t.Helper()
	l, err := filelock.New(path, opts...)
	require.NoError(t, err)
	return l
}

func target(t testing.TB) string { return filepath.Join(t.TempDir(), "target") }

// directories returns directories on a disk and in memory, by name.
func directories(t *testing.T) map[string]string {
	t.Helper()
	dirs := map[string]string{"disk": t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "filelock-test-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		dirs["memory"] = dir
	}
	return dirs
}

// onEach runs f on a disk and in memory.
func onEach(t *testing.T, f func(t *testing.T, dir string)) {
	for name, dir := range directories(t) {
		t.Run(name, func(t *testing.T) { f(t, dir) })
	}
}

// tickets returns the names of what is in dir beside the target's own files.
func tickets(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), ".lock.") {
			names = append(names, e.Name())
		}
	}
	return names
}

// requireNoTickets checks that nothing is left in a directory, but for tickets
// that rest, and these for no longer than they may on a busy machine.
func requireNoTickets(t testing.TB, dir string) {
	t.Helper()
	const lingers = 2 * time.Second
	for began := time.Now(); ; {
		left := tickets(t, dir)
		if time.Since(began) < lingers {
			awake := slices.DeleteFunc(slices.Clone(left), func(name string) bool { return isMarked(filepath.Join(dir, name)) })
			require.Empty(t, awake, "tickets were left")
		} else {
			require.Empty(t, left, "tickets were left")
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// eventually waits until ok, or fails.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(stuck)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("stuck: %s", what)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// queued waits until n tickets are in dir.
func queued(t testing.TB, dir string, n int) {
	t.Helper()
	eventually(t, "waiting for tickets", func() bool { return len(tickets(t, dir)) == n })
}

// settled waits until n contenders are in the queue whose order is final: from
// then on they can be seen to be inside, or to wait.
func settled(t testing.TB, path string, n int) {
	t.Helper()
	eventually(t, "waiting for contenders", func() bool {
		q, err := filelock.Inspect(path)
		require.NoError(t, err)
		held := 0
		for _, ticket := range q.Tickets {
			if ticket.State == filelock.Inside || ticket.State == filelock.Alive {
				held++
			}
		}
		return held == n
	})
}

// start runs f in a goroutine and returns its result when it comes.
func start(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

func requireBlocks(t testing.TB, c <-chan error) {
	t.Helper()
	select {
	case err := <-c:
		t.Fatalf("did not block: %v", err)
	case <-time.After(mustBlock):
	}
}

func result(t testing.TB, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(stuck):
		t.Fatal("stuck")
		return nil
	}
}

func acquire(t testing.TB, l *filelock.FileLock) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	require.NoError(t, l.Acquire(ctx))
}

// identity returns what this process says of itself.
func identity() liveness.Identity {
	id, err := liveness.Self()
	if err != nil {
		panic(err)
	}
	return id
}
