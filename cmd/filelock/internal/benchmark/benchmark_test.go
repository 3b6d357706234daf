package benchmark

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
)

const asWorker = "BENCHMARK_TEST_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		if err := worker.Main(Tasks(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func options(t *testing.T, dir string) Options {
	t.Helper()
	t.Setenv(asWorker, "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	return Options{Dir: dir, For: 100 * time.Millisecond, Worker: []string{os.Args[0]}, Progress: func(float64, string) {}}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	o := options(t, dir)
	var told []float64
	o.Progress = func(done float64, _ string) { told = append(told, done) }
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, r.Results, len(Scenarios()))
	for _, s := range r.Results {
		t.Logf("%+v", s)
		require.Greater(t, s.Uses, 0, s.Name)
		require.LessOrEqual(t, s.P50, s.P99)
		require.LessOrEqual(t, s.P99, s.Max)
		require.LessOrEqual(t, s.Least, s.Most)
		require.LessOrEqual(t, s.Most, s.Uses)
		require.Greater(t, s.Least, 0, "every process had its turns: %s", s.Name)
	}
	require.IsIncreasing(t, told)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestRunFails(t *testing.T) {
	_, err := Run(t.Context(), options(t, filepath.Join(t.TempDir(), "missing")))
	require.ErrorContains(t, err, "no such file")
	o := options(t, t.TempDir())
	o.For = time.Minute
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(200*time.Millisecond, func() { cancel(os.ErrDeadlineExceeded) })
	_, err = Run(ctx, o)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	left, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestSample: of more times than are kept, late ones are kept as early ones are.
func TestSample(t *testing.T) {
	var u uses
	for i := range 3 * mostTimes {
		u.add(time.Duration(i))
	}
	require.Equal(t, 3*mostTimes, u.Count)
	require.Len(t, u.Times, mostTimes)
	late := 0
	for _, d := range u.Times {
		if d >= 2*mostTimes {
			late++
		}
	}
	require.InDelta(t, mostTimes/3, late, mostTimes/20)
	require.Equal(t, time.Duration(3*mostTimes-1), u.Longest)
}

func TestResult(t *testing.T) {
	r := Scenario{Processes: 2}.result(2*time.Second, []uses{{Count: 10, Longest: 5, Times: []time.Duration{1, 2}}, {Count: 4, Longest: 9, Times: []time.Duration{3}}})
	require.Equal(t, []int{14, 4, 10}, []int{r.Uses, r.Least, r.Most})
	require.InDelta(t, 7, r.PerSecond, 1e-9)
	require.InDelta(t, 9e-9, r.Max, 1e-15)
	require.InDelta(t, 2e-9, r.P50, 1e-15)
}
