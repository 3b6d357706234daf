package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

const (
	// hungPatience is how long those wait who come when no answer is to be had,
	// and lastPatience those who wait already: it has to outlast the preparations.
	hungPatience, lastPatience = 300 * time.Millisecond, 2 * time.Second
	// tolerance is how late a wait may end. A quiet machine takes a tenth of it:
	// what is in the log is the figure, and this is for busy ones.
	tolerance = 500 * time.Millisecond
)

// waitEnding is how one wait ended.
type waitEnding struct {
	way  string
	late time.Duration // after its moment
	err  error         // nil: as it should
}

// attempt is one way to wait for a lock with an end: it returns when the wait is
// over.
type attempt struct {
	way string
	run func() waitEnding
}

// hungAttempts are the ways to wait for the lock of path, for so long. Each has a
// lock object, and a line, of its own, made now: to make one takes an answer.
func hungAttempts(t *testing.T, path string, patience time.Duration) (all []attempt, locks []*filelock.FileLock) {
	t.Helper()
	add := func(way string, call func(l *filelock.FileLock) error, want error, opts ...filelock.Option) {
		l := newLock(t, path, opts...)
		l.OwnLine()
		locks = append(locks, l)
		all = append(all, attempt{way, func() waitEnding {
			began := time.Now()
			err := call(l)
			e := waitEnding{way: way, late: time.Since(began) - patience}
			switch {
			case err == nil:
				e.err = errors.New("it was granted")
			case !errors.Is(err, want):
				e.err = err
			case l.Held():
				e.err = errors.New("it failed and is held")
			}
			return e
		}})
	}
	deadline := func(call func(l *filelock.FileLock, ctx context.Context) error) func(l *filelock.FileLock) error {
		return func(l *filelock.FileLock) error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return call(l, ctx)
		}
	}
	add("Acquire, deadline", deadline((*filelock.FileLock).Acquire), context.DeadlineExceeded)
	add("Acquire, cancelled", func(l *filelock.FileLock) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer time.AfterFunc(patience, cancel).Stop()
		return l.Acquire(ctx)
	}, context.Canceled)
	add("WithTimeout", func(l *filelock.FileLock) error {
		return l.Acquire(context.Background())
	}, filelock.ErrTimeout, filelock.WithTimeout(patience))
	add("TryAcquire, deadline", deadline((*filelock.FileLock).TryAcquire), context.DeadlineExceeded)
	return all, locks
}

// commands are the ways to wait with the command, which begins at once.
func commands(t *testing.T, path string, patience time.Duration) []attempt {
	t.Helper()
	if *soak == 0 {
		// A process cannot end while the kernel waits for an answer to what its
		// server has read already, so that now and then one stays.
		return nil
	}
	command := buildCommand(t)
	run := func(args ...string) *exec.Cmd {
		cmd := exec.Command(command, append([]string{"run"}, args...)...)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}
	began := time.Now()
	limited := run("-w", patience.String(), path, "echo", "granted")
	patient := run(path, "echo", "granted")
	return []attempt{
		{"filelock run -w", func() waitEnding {
			e := outcome(limited, "exit status 75")
			e.late = time.Since(began) - patience
			return e
		}},
		{"filelock run, SIGTERM", func() waitEnding {
			time.Sleep(time.Until(began.Add(patience)))
			killed := time.Now()
			if err := patient.Process.Signal(syscall.SIGTERM); err != nil {
				return waitEnding{err: err}
			}
			e := outcome(patient, "signal: terminated")
			e.late = time.Since(killed)
			return e
		}},
	}
}

// buildCommand builds the filelock command, which is a module of its own.
func buildCommand(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "filelock")
	build := exec.Command("go", "build", "-o", to, ".")
	build.Dir = filepath.Join("cmd", "filelock")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return to
}

// outcome waits for a command's end.
func outcome(cmd *exec.Cmd, want string) waitEnding {
	_ = cmd.Wait() // what it says is in ProcessState
	if got := cmd.ProcessState.String(); got != want {
		return waitEnding{err: fmt.Errorf("%s, want %s", got, want)}
	}
	return waitEnding{}
}

// begin runs all hungAttempts at once, and returns what waits for their endings and
// checks that each ended at its moment, as it should.
func begin(all []attempt) (requireEndings func(t *testing.T)) {
	endings := make(chan waitEnding, len(all))
	missing := map[string]bool{}
	for _, a := range all {
		missing[a.way] = true
		go func() {
			e := a.run()
			e.way = a.way
			endings <- e
		}()
	}
	return func(t *testing.T) {
		t.Helper()
		for range all {
			select {
			case e := <-endings:
				delete(missing, e.way)
				t.Logf("%-22s ended %6.1f ms after its moment", e.way, float64(e.late.Microseconds())/1000)
				require.NoError(t, e.err, e.way)
				require.GreaterOrEqual(t, e.late, -time.Millisecond, e.way)
				require.Less(t, e.late, tolerance, e.way)
			case <-time.After(stuck / 3):
				t.Fatalf("stuck: %v", slices.Collect(maps.Keys(missing)))
			}
		}
	}
}
