package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/filelock-go/filelock/cmd/filelock/internal/probe"
	"github.com/filelock-go/filelock/cmd/filelock/internal/referee"
	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
)

const asWorker = "VERIFY_TEST_WORKER"

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
	return Options{
		Dir: dir, Processes: 3, For: 500 * time.Millisecond, Hold: time.Millisecond, Listen: "127.0.0.1:0", Hosts: 1,
		Worker: []string{os.Args[0]}, Progress: func(float64, string) {},
	}
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	o := options(t, dir)
	var told []float64
	o.Progress = func(done float64, _ string) { told = append(told, done) }
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	t.Logf("%+v", r.Why)
	t.Logf("%s: %d holds, %d overlaps, %d of %d overtakings, waits %+v, hand-offs %+v", r.Filesystem, r.Holds, r.Overlaps, r.Overtakings, r.Ordered, r.Waits, r.Handoffs)
	require.NotEqual(t, NotSafe, r.Verdict, "%v", r.Why)
	require.Equal(t, 3, r.Processes)
	require.Greater(t, r.Holds, 10)
	require.Greater(t, r.Ordered, 0)
	require.Zero(t, r.Overtakings)
	require.Zero(t, r.Vanished)
	require.NotZero(t, r.Handoffs.Count)
	require.LessOrEqual(t, r.Handoffs.P50, r.Handoffs.Max)
	require.Len(t, r.Hosts, 1)
	require.NotEqual(t, "unknown", r.Filesystem)
	require.IsNonDecreasing(t, told)
	require.Empty(t, left(t, dir), "it leaves nothing")
}

// TestJoin: another host takes part through its own view of the directory.
func TestJoin(t *testing.T) {
	dir := t.TempDir()
	o := options(t, dir)
	o.Hosts = 2
	var joined Report
	var joinErr error
	var joining sync.WaitGroup
	o.Listens = func(join string) {
		joining.Go(func() { joined, joinErr = Join(t.Context(), join, o) })
	}
	r, err := Run(t.Context(), o)
	joining.Wait()
	require.NoError(t, err)
	require.NoError(t, joinErr)
	require.Equal(t, 6, r.Processes)
	between := map[string]bool{}
	for _, f := range r.Findings {
		between[f.Between] = true
	}
	require.Len(t, between, 2, "experiments are made with the other host, too")
	want, err := json.Marshal(r)
	require.NoError(t, err)
	got, err := json.Marshal(joined)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))
	require.Empty(t, left(t, dir))
}

func TestJoinRefused(t *testing.T) {
	dir := t.TempDir()
	o := options(t, dir)
	_, err := Join(t.Context(), "nonsense", o)
	require.ErrorContains(t, err, "HOST:PORT/KEY")
	o.Hosts = 2
	ctx, cancel := context.WithCancelCause(t.Context())
	o.Listens = func(join string) {
		address, _, _ := strings.Cut(join, "/")
		_, err := Join(t.Context(), address+"/wrong", o)
		cancel(err)
	}
	_, err = Run(ctx, o)
	require.ErrorIs(t, err, errRefused)
	require.Empty(t, left(t, dir))
}

// TestJoinNonsense: what the other one says is not believed whatever it is.
func TestJoinNonsense(t *testing.T) {
	dir := t.TempDir()
	o := options(t, dir)
	sound := plan{probe.Prefix + "x", 1, time.Millisecond, time.Millisecond}
	for _, tt := range []struct {
		name    string
		edit    func(*plan)
		verdict Verdict
		want    string
	}{
		{"a name of another directory", func(p *plan) { p.Target = "../x" }, Safe, "wants to lock"},
		{"a name of something else", func(p *plan) { p.Target = "x" }, Safe, "wants to lock"},
		{"a crowd", func(p *plan) { p.Processes = MostProcesses + 1 }, Safe, "wants 257 processes"},
		{"no hold", func(p *plan) { p.Hold = 0 }, Safe, "holds of 0s"},
		{"a verdict that is none", func(*plan) {}, "fine", "which is none"},
		{"no verdict", func(*plan) {}, "", "which is none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := sound
			tt.edit(&p)
			s, err := referee.Listen("127.0.0.1:0", "", func(hello referee.Hello, conn net.Conn, in *bufio.Reader) {
				out := json.NewEncoder(conn)
				if hello.Role == referee.RoleHost && out.Encode(p) == nil {
					_ = out.Encode(Report{Verdict: tt.verdict})
				}
			})
			require.NoError(t, err)
			_, err = Join(t.Context(), s.Address()+"/"+s.Key(), o)
			require.ErrorContains(t, err, tt.want)
			require.NoError(t, s.Close())
			require.Empty(t, left(t, dir))
		})
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := Run(t.Context(), options(t, filepath.Join(dir, "missing")))
	require.ErrorIs(t, err, os.ErrNotExist)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err = Run(t.Context(), options(t, file))
	require.ErrorContains(t, err, "not a directory")
	ctx, cancel := context.WithCancelCause(t.Context())
	o := options(t, t.TempDir())
	o.Progress = func(_ float64, what string) {
		if what == "contending" {
			cancel(os.ErrDeadlineExceeded)
		}
	}
	_, err = Run(ctx, o)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Empty(t, left(t, o.Dir))
}

func TestVerdict(t *testing.T) {
	ok := Report{OneKernel: true, Holds: 10}
	tests := []struct {
		name string
		edit func(*Report)
		want Verdict
		why  string
	}{
		{"local", func(*Report) {}, Safe, ""},
		{"many kernels", func(r *Report) { r.OneKernel = false }, SafeByPolling, "other machines"},
		{"no notification", func(r *Report) {
			r.Findings = []probe.Finding{{Property: "notification of changes", Grade: probe.Limited, Result: "none"}}
		}, SafeByPolling, "none"},
		{"no flock", func(r *Report) {
			r.Findings = []probe.Finding{{Property: "flock", Grade: probe.Limited, Result: "there are none"}}
		}, Safe, "there are none"},
		{"an overlap", func(r *Report) { r.Overlaps = 1 }, NotSafe, "two were inside"},
		{"broken", func(r *Report) {
			r.Findings = []probe.Finding{{Property: "listings", Grade: probe.Broken, Result: "stale", Between: "a and b"}}
		}, NotSafe, "listings (a and b): stale"},
		{"failures", func(r *Report) { r.Failures = []string{"a pid 7: no space"} }, NotSafe, "no space"},
		{"nothing happened", func(r *Report) { r.Holds = 0 }, NotSafe, "nobody"},
		{"one was killed", func(r *Report) { r.Processes, r.Vanished = 4, 1 }, Safe, "1 of 4 processes"},
		{"out of order", func(r *Report) { r.Ordered, r.Overtakings = 5, 1 }, Safe, "1 of 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := ok
			tt.edit(&r)
			r.decide()
			require.Equal(t, tt.want, r.Verdict)
			require.Contains(t, strings.Join(r.Why, "\n"), tt.why)
			require.Equal(t, tt.why == "", len(r.Why) == 0)
		})
	}
}
