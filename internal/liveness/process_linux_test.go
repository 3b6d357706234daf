package liveness

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/locktest"
)

// noPID is above any pid_max.
const noPID = 1<<22 + 1

func TestAsk(t *testing.T) {
	self, err := readProc(os.Getpid())
	require.NoError(t, err)
	tooBig := math.MaxInt32
	tooBig++ // which is negative where an int has 32 bits
	tests := []struct {
		name  string
		pid   int
		start uint64
		want  Process
	}{
		{"this one", os.Getpid(), self.start, ProcessRuns},
		{"no start to compare", os.Getpid(), 0, ProcessRuns},
		{"another start", os.Getpid(), self.start + 1, ProcessOther},
		{"no such process", noPID, 0, ProcessGone},
		{"no such process, with a start", noPID, self.start, ProcessGone},
		{"a process group, to the kernel", 0, 0, ProcessUnknown},
		{"all processes, to the kernel", -1, 0, ProcessUnknown},
		{"more than a pid can be", tooBig, 0, ProcessUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, Ask(tt.pid, tt.start)) })
	}
}

// TestAskThroughALife follows a process to its end.
func TestAskThroughALife(t *testing.T) {
	cmd := locktest.Idler()
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	child, err := readProc(pid)
	require.NoError(t, err)
	require.Equal(t, ProcessRuns, Ask(pid, child.start))

	// A signal takes a moment.
	await := func(want Process) {
		t.Helper()
		for began := time.Now(); Ask(pid, child.start) != want; time.Sleep(time.Millisecond) {
			require.Less(t, time.Since(began), 10*time.Second, "stuck at %d, not %d", Ask(pid, child.start), want)
		}
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	await(ProcessStopped)
	require.Equal(t, ProcessOther, Ask(pid, child.start+1), "whoever is stopped, it is not the one")
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	await(ProcessRuns)
	require.NoError(t, cmd.Process.Kill())
	await(ProcessZombie)
	require.Equal(t, ProcessOther, Ask(pid, child.start+1))
	cmd.Wait()
	require.Equal(t, ProcessGone, Ask(pid, child.start))
}

// TestReadStat: the command's name is in the line, and may hold anything.
func TestReadStat(t *testing.T) {
	const rest = " 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"
	tests := []struct {
		name, line string
		want       proc // zero: it is not understood
	}{
		{"usual", "7 (sleep) S" + rest, proc{7, 'S', 4711}},
		{"stopped", "7 (sleep) T" + rest, proc{7, 'T', 4711}},
		{"a name that looks like the rest", "7 (a) Z 1 2) R" + rest, proc{7, 'R', 4711}},
		{"the longest fields", "7 (" + strings.Repeat(")", 64) + ") S" + strings.Repeat(" 18446744073709551615", 18) + " 4711" + strings.Repeat(" 18446744073709551615", 30),
			proc{7, 'S', 4711}},
		{"a line of another kind", "7 (sleep) S 1 1", proc{}},
		{"no start", "7 (sleep) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 soon 0 0", proc{}},
		{"empty", "", proc{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stat")
			require.NoError(t, os.WriteFile(path, []byte(tt.line), 0o600))
			got, err := readStat(path)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == proc{}, err != nil)
		})
	}
	_, err := readStat(filepath.Join(t.TempDir(), "stat"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestDeparted: who is gone is known without a look at any ticket, but only of
// processes of this host and pid space.
func TestDeparted(t *testing.T) {
	id, err := Self()
	require.NoError(t, err)
	left := ours
	left.Host, left.PIDSpace, left.PID = id.Host, id.PIDSpace, noPID
	require.True(t, id.Departed(left))

	still := left
	still.PID, still.Start = id.PID, id.Start
	require.False(t, id.Departed(still))
	elsewhere := left
	elsewhere.Host = "elsewhere"
	require.False(t, id.Departed(elsewhere), "a clone's pids are its own")
	stranger := left
	stranger.PIDSpace = container.PIDSpace
	require.False(t, id.Departed(stranger))
	require.False(t, id.Departed(unspaced))
}
