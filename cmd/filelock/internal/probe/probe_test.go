package probe

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("PROBE_TEST_LOCK"); name != "" {
		l := NewLocal(os.Getenv("PROBE_TEST_DIR"))
		if r := l.Lock(name, Entry); r.Err != "" || r.Held {
			os.Exit(1)
		}
		os.Stdout.WriteString("locked\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

// pair is two Ends of one directory, the second over a connection.
func pair(t *testing.T, dir string, bend func(End) End) (a, b End) {
	t.Helper()
	near, far := net.Pipe()
	local := NewLocal(dir)
	agent := NewLocal(dir)
	served := make(chan error, 1)
	go func() { served <- Serve(far, bend(agent)) }()
	remote := NewRemote(near, 5*time.Second)
	t.Cleanup(func() {
		remote.Close()
		require.NoError(t, <-served)
		require.NoError(t, local.Close())
		require.NoError(t, agent.Close())
	})
	return bend(local), remote
}

func straight(e End) End { return e }

func kill(t *testing.T, dir string) func(string) error {
	return func(name string) error {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "PROBE_TEST_LOCK="+name, "PROBE_TEST_DIR="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = out.Read(make([]byte, 10))
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Kill())
		cmd.Wait()
		return nil
	}
}

func grades(fs []Finding) map[string]Grade {
	m := map[string]Grade{}
	for _, f := range fs {
		m[f.Property] = f.Grade
	}
	return m
}

func TestLocalDirectory(t *testing.T) {
	dir := t.TempDir()
	a, b := pair(t, dir, straight)
	var told []string
	l := Lab{A: a, B: b, OneKernel: true, Between: "two processes", Patience: 2 * time.Second, Kill: kill(t, dir),
		Progress: func(what string) { told = append(told, what) }}
	findings, err := l.Run(t.Context())
	require.NoError(t, err)
	for _, f := range findings {
		t.Logf("%-30s %-8s %s", f.Property, f.Grade, f.Result)
		require.NotEqual(t, Broken, f.Grade, "%+v", f)
		require.Equal(t, "two processes", f.Between)
	}
	require.Len(t, findings, len(told))
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	require.Empty(t, append(left, hidden...), "it leaves nothing")
}

// liar is an End of a filesystem that lies in one way.
type liar struct {
	End
	lie  string
	made []string // by this end, and not yet changed
	old  map[string]time.Time
}

func (l *liar) Create(name string) Result {
	r := l.End.Create(name)
	switch l.lie {
	case "exclusive creation":
		if r.Exists {
			return Result{}
		}
	}
	return r
}

func (l *liar) SetTime(name string, to time.Time) Result {
	switch l.lie {
	case "truncated times":
		to = to.Truncate(time.Hour)
	case "two seconds":
		to = to.Truncate(2 * time.Second)
	case "whole seconds":
		to = to.Truncate(time.Second)
	case "times that fall":
		r := l.End.SetTime(name, to)
		l.End.SetTime(name, to.Add(-time.Second))
		return r
	}
	return l.End.SetTime(name, to)
}

func (l *liar) Fresh(name string) Result {
	r := l.End.Fresh(name)
	switch l.lie {
	case "times differ":
		r.Time = r.Time.Add(time.Second)
	case "there and not":
		return Result{Err: "no such file", Absent: true}
	case "never gone":
		if r.Absent {
			return Result{Time: time.Unix(1, 0)}
		}
	}
	return r
}

func (l *liar) Stat(name string) Result {
	r := l.End.Stat(name)
	if l.lie == "old attributes" {
		if l.old == nil {
			l.old = map[string]time.Time{}
		}
		if _, ok := l.old[name]; !ok {
			l.old[name] = r.Time
		}
		r.Time = l.old[name]
	}
	return r
}

func (l *liar) List() Result {
	r := l.End.List()
	switch l.lie {
	case "stale listings":
		names := slices.Clone(l.made)
		l.made = r.Names
		r.Names = names
	case "gaps":
		if len(r.Names) > 10 {
			r.Names = r.Names[1:]
		}
	case "never gone":
		r.Names = append(r.Names, l.made...)
		for _, n := range r.Names {
			if !slices.Contains(l.made, n) {
				l.made = append(l.made, n)
			}
		}
	}
	return r
}

func (l *liar) Lock(name string, kind LockKind) Result {
	switch l.lie {
	case "locks that lie":
		return Result{}
	case "no locks":
		return Result{Err: "no locks available", Unsupported: true}
	}
	return l.End.Lock(name, kind)
}

func (l *liar) Unlock(name string) Result {
	if l.lie == "locks that lie" {
		return Result{}
	}
	return l.End.Unlock(name)
}

func (l *liar) LockOf(name string) Result {
	if l.lie == "free if asked" {
		return Result{}
	}
	return l.End.LockOf(name)
}

// TestLies: each way in which a filesystem breaks what the lock rests on is told, by
// the experiment that is made for it, and no other property is blamed for it.
func TestLies(t *testing.T) {
	tests := []struct {
		lie     string
		one     bool // the second process sees it so only
		kernels bool // several
		broken  map[string]Grade
		also    []string // where the same lie shows, too
		says    string
	}{
		{lie: "truncated times", says: "cannot be set above", broken: map[string]Grade{"modification times": Broken}},
		{lie: "two seconds", broken: map[string]Grade{"modification times": Limited}},
		{lie: "there and not", broken: map[string]Grade{"modification times": Broken, "removals": Broken}},
		{lie: "whole seconds", broken: map[string]Grade{"modification times": Limited}},
		{lie: "times that fall", broken: map[string]Grade{"modification times": Broken}, also: []string{"attribute age"}},
		{lie: "times differ", one: true, says: "differ by who looks", broken: map[string]Grade{"modification times": Broken}},
		{lie: "stale listings", one: true, broken: map[string]Grade{"listings after an own change": Broken},
			also: []string{"listings", "complete listings", "removals"}},
		{lie: "gaps", broken: map[string]Grade{"complete listings": Broken}},
		{lie: "old attributes", one: true, broken: map[string]Grade{"attribute age": Broken}},
		{lie: "old attributes", one: true, kernels: true, broken: map[string]Grade{"attribute age": Limited}},
		{lie: "never gone", one: true, kernels: true, broken: map[string]Grade{"removals": Broken}},
		{lie: "locks that lie", says: "two processes hold one at the same time", broken: map[string]Grade{"entry locks": Broken, "flock": Broken}},
		{lie: "no locks", broken: map[string]Grade{"entry locks": Limited, "flock": Limited}},
		{lie: "free if asked", one: true, says: "said to be free", broken: map[string]Grade{"entry locks": Broken}},
		{lie: "exclusive creation", broken: map[string]Grade{"exclusive creation": Limited}},
	}
	for _, tt := range tests {
		name := tt.lie
		if tt.kernels {
			name += ", several kernels"
		}
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, t.TempDir(), func(e End) End { return &liar{End: e, lie: tt.lie} })
			if tt.one {
				a = a.(*liar).End
			}
			l := Lab{A: a, B: b, OneKernel: !tt.kernels, Patience: 50 * time.Millisecond}
			findings, err := l.Run(t.Context())
			require.NoError(t, err)
			said := ""
			for _, f := range findings {
				t.Logf("%-30s %-8s %s", f.Property, f.Grade, f.Result)
				said += f.Result + "\n"
			}
			require.Contains(t, said, tt.says)
			got := grades(findings)
			for property, grade := range tt.broken {
				require.Equal(t, grade, got[property], property)
				delete(got, property)
			}
			for property, grade := range got {
				if !slices.Contains(tt.also, property) {
					require.NotEqual(t, Broken, grade, property)
				}
			}
		})
	}
}

func TestOutlivingLocks(t *testing.T) {
	dir := t.TempDir()
	a, b := pair(t, dir, straight)
	held := NewLocal(dir)
	l := Lab{A: a, B: b, OneKernel: true, Patience: 50 * time.Millisecond,
		Kill: func(name string) error { held.Lock(name, Entry); return nil }}
	findings, err := l.Run(t.Context())
	require.NoError(t, err)
	require.NoError(t, held.Close())
	require.Equal(t, Broken, grades(findings)["death of an owner"])
}

func TestRunEnds(t *testing.T) {
	a, b := pair(t, filepath.Join(t.TempDir(), "missing"), straight)
	l := Lab{A: a, B: b, Patience: time.Second}
	_, err := l.Run(t.Context())
	require.ErrorContains(t, err, "no such file")

	dir := t.TempDir()
	a, b = pair(t, dir, straight)
	ctx, cancel := context.WithCancelCause(t.Context())
	l = Lab{A: a, B: b, Patience: time.Second, Progress: func(what string) {
		if what == "listings" {
			cancel(os.ErrClosed)
		}
	}}
	_, err = l.Run(ctx)
	require.ErrorIs(t, err, os.ErrClosed)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestNamesStayInTheDirectory: what is asked for over a connection concerns nothing
// but the files of experiments.
func TestNamesStayInTheDirectory(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "precious")
	require.NoError(t, os.WriteFile(outside, nil, 0o644))
	sub := filepath.Join(dir, "sub")
	require.NoError(t, os.Mkdir(sub, 0o755))
	_, b := pair(t, sub, straight)
	for _, name := range []string{"../precious", outside, "precious", Prefix + "/../../precious", ""} {
		require.NotEmpty(t, b.Remove(name).Err, name)
		require.NotEmpty(t, b.Create(name).Err, name)
	}
	require.FileExists(t, outside)
}
