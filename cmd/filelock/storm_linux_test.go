package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// TestReapForceStorm: while jobs take a lock in turn, an operator wants to remove the
// ticket of one who is inside, again and again, and is refused each time. Nobody is
// robbed, and the data of one job is never between that of another.
func TestReapForceStorm(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	times := 100
	if testing.Short() {
		times = 20
	}
	dir := t.TempDir()
	target, log, end := filepath.Join(dir, "target"), filepath.Join(dir, "log"), filepath.Join(dir, "end")
	const job = `until [ -e end ]; do filelock run target -c 'echo in >>log; echo out >>log' || exit; done`
	var jobs sync.WaitGroup
	for range 3 {
		cmd := exec.Command("sh", "-c", job)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		jobs.Go(func() {
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
	defer jobs.Wait()
	defer os.WriteFile(end, nil, 0o644)

	lock, err := filelock.New(target)
	require.NoError(t, err)
	for range times {
		require.NoError(t, lock.Do(t.Context(), func(ctx context.Context) error {
			write(t, log, "in")
			q, err := filelock.Inspect(target)
			require.NoError(t, err)
			holder, ok := q.Holder()
			require.True(t, ok)
			require.Equal(t, os.Getpid(), holder.PID)
			cmd := exec.CommandContext(ctx, "filelock", "reap", "--force", holder.Path, "--yes", target)
			out, err := cmd.CombinedOutput()
			require.Equal(t, 75, cmd.ProcessState.ExitCode(), "%v: %s", err, out)
			require.Contains(t, string(out), "is inside")
			write(t, log, "out")
			return nil
		}))
	}
	require.NoError(t, os.WriteFile(end, nil, 0o644))
	jobs.Wait()
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	holds := strings.Count(string(text), "in\nout\n")
	require.Equal(t, strings.Repeat("in\nout\n", holds), string(text), "two were inside")
	require.Greater(t, holds, times, "others took turns")
	t.Logf("%d of %d refused, %d holds, none interleaved", times, times, holds)
}

func write(t *testing.T, file, line string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	_, err = f.WriteString(line + "\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
}
