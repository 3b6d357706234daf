package liveness

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAsk(t *testing.T) {
	self, err := readProc(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, ProcessRuns, Ask(os.Getpid(), self.start))
	require.Equal(t, ProcessRuns, Ask(os.Getpid(), 0), "no start to compare")
	require.Equal(t, ProcessOther, Ask(os.Getpid(), self.start+1))
	require.Equal(t, ProcessGone, Ask(1<<22+1, 0), "above any pid_max")

	cmd := exec.Command("sleep", "60")
	cmd.Stdin = nil
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	child, err := readProc(pid)
	require.NoError(t, err)
	require.Equal(t, ProcessRuns, Ask(pid, child.start))
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	require.Equal(t, ProcessRuns, Ask(pid, child.start), "a stopped process lives")
	require.NoError(t, cmd.Process.Kill())
	for began := time.Now(); Ask(pid, child.start) == ProcessRuns; {
		require.Less(t, time.Since(began), 10*time.Second, "stuck")
	}
	require.Equal(t, ProcessZombie, Ask(pid, child.start), "killed and not reaped")
	require.Equal(t, ProcessOther, Ask(pid, child.start+1))
	cmd.Wait()
	require.Equal(t, ProcessGone, Ask(pid, child.start))
}

// TestSelf: what this process says of itself is what others find.
func TestSelf(t *testing.T) {
	id := Self()
	t.Logf("%+v", id)
	require.Equal(t, ProcessRuns, Ask(id.PID, id.Start))
	require.NotZero(t, id.PIDSpace)
	require.NotEmpty(t, id.BootID)
}
