package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A signal that comes while filelock becomes the command ends either of them: it is not
// caught by the one and unknown to the other.
func TestSignalWhileBecoming(t *testing.T) {
	t.Parallel()
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	dir := t.TempDir()
	for i := range rounds {
		cmd := exec.Command("filelock", "run", "-F", "T", "sleep", "1000")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		require.NoError(t, cmd.Start())
		for end := time.Now().Add(stuck); len(ticketsIn(t, dir)) == 0 && time.Now().Before(end); {
		}
		for later := time.Now().Add(time.Duration(i%50) * 10 * time.Microsecond); time.Now().Before(later); {
		}
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		lost := time.AfterFunc(stuck, func() { cmd.Process.Kill() })
		_ = cmd.Wait()
		lost.Stop()
		require.Equal(t, syscall.SIGTERM, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(), "round %d", i)
		for _, ticket := range ticketsIn(t, dir) { // of the dead
			require.NoError(t, os.Remove(ticket))
		}
	}
}
