package filelock_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

// matrixTraced is a contender under strace.
type matrixTraced struct {
	*locktest.Child
	log    string
	strace *exec.Cmd
}

// startTraced starts a contender of which strace follows the one thread, and no
// more than that: it attaches when the process is up.
func startTraced(t *testing.T, s *scene, faults ...string) *matrixTraced {
	t.Helper()
	env, path := locktest.Command(t, "matrix", s.path, s.situation.name)
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), env, "GOGC=off", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	c := &matrixTraced{Child: locktest.StartCmd(t, cmd), log: filepath.Join(t.TempDir(), "log")}
	args := []string{"-p", c.Line(), "-y", "-s", "4096", "-o", c.log}
	if s.situation.far {
		faults = append(faults, "fstatfs:error=ENOSYS")
	}
	for _, f := range faults {
		args = append(args, "-e", "inject="+f)
	}
	c.strace = exec.Command("strace", append(args, "-e", "trace=faccessat,"+tracedCalls)...)
	said, err := c.strace.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.strace.Start())
	var text strings.Builder
	for buf := make([]byte, 512); !strings.Contains(text.String(), "attached"); {
		n, err := said.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			c.strace.Wait()
			t.Skipf("strace may not attach: %s", text.String())
		}
	}
	go io.Copy(io.Discard, said)
	t.Cleanup(func() {
		c.Cmd.Process.Kill()
		c.strace.Wait()
	})
	return c
}

// finding is how one run ended.
type finding struct {
	situation string
	call      *call
	errno     string
	injected  bool
	report    report
	lingered  bool          // the ticket was there for a while after the end
	late      time.Duration // how long after the holder had left it came in
	wrong     []string
}

// play lets the contender go through a situation, with one fault if call is not
// nil, and returns what came of it, and its trace.
func play(t *testing.T, s *situation, c *call, errno string) (f finding, trace string) {
	t.Helper()
	f = finding{situation: s.name, call: c, errno: errno}
	wrong := func(format string, args ...any) { f.wrong = append(f.wrong, fmt.Sprintf(format, args...)) }
	dir := t.TempDir()
	sc := &scene{situation: s, dir: dir, path: filepath.Join(dir, "target")}
	var err error
	sc.guard, err = locktest.OpenGuard(filepath.Join(dir, "guard"))
	require.NoError(t, err)
	end := func() {}
	if s.prepare != nil {
		end = s.prepare(t, sc)
	}
	defer end()
	var faults []string
	if c != nil {
		faults = []string{fmt.Sprintf("%s:error=%s:when=%d", c.name, errno, c.nth)}
	}
	child := startTraced(t, sc, faults...)
	began := time.Now()
	child.Go()
	if s.hold > 0 {
		defer time.AfterFunc(s.hold, end).Stop()
	}
	require.NoError(t, json.Unmarshal([]byte(child.Line()), &f.report))
	if took := time.Since(began); took > stuck/3 {
		wrong("it took %v", took)
	}
	if came, left := sc.guard.Word(wordCameIn).Load(), sc.guard.Word(wordGivenBack).Load(); came > 0 && left > 0 {
		if f.late = time.Duration(came - left); f.late > 5*time.Second {
			wrong("it came in %v late", f.late)
		}
	}
	end()

	own := func() bool { return strings.Contains(fmt.Sprint(tickets(t, dir)), fmt.Sprintf(".%d.", child.Pid())) }
	f.lingered = own()
	for deadline := time.Now().Add(5 * time.Second); own(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			wrong("a ticket was left")
			break
		}
	}
	child.Go()
	child.Expect("inside")
	for _, name := range tickets(t, dir) {
		n, _ := ticket.Parse(ticket.Prefix("target"), name)
		if n.PID == child.Pid() && n.PIDSpace == 0 && !slices.Contains([]string{"ENOENT", "EACCES", "EPERM", "ELOOP"}, errno) {
			wrong("it does not know who it is")
		}
	}
	child.Go()
	child.Done()
	child.strace.Wait()
	text, err := os.ReadFile(child.log)
	require.NoError(t, err)
	trace = string(text)
	for line := range strings.Lines(trace) {
		f.injected = f.injected || c != nil && strings.HasPrefix(line, c.name+"(") && strings.Contains(line, "(INJECTED)") &&
			!strings.Contains(line, "ENOSYS")
	}
	if n := sc.guard.Overlaps(); n > 0 {
		wrong("two were inside")
	}
	if strings.Contains(fmt.Sprint(f.report), "EINTR") {
		wrong("EINTR is shown")
	}
	l := newLock(t, sc.path, s.opts...)
	acquire(t, l)
	require.NoError(t, l.Unlock())
	require.NoError(t, l.Close())
	for _, name := range tickets(t, dir) {
		if !strings.HasSuffix(name, ".raised") {
			wrong("%s is left", name)
		}
	}
	return f, trace
}
