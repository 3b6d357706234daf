package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// At the user's limit of processes all is done that the command's end asks for: the
// lock is given back, and the exit code is the command's.
func TestNoMoreProcesses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes a user who has no other processes")
	}
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip(err)
	}
	program, err := exec.LookPath("filelock")
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "limits-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	everybodys := filepath.Join(dir, "filelock")
	data, err := os.ReadFile(program)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(everybodys, data, 0o755))

	rounds := 100
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		// From now on filelock has as many threads as it may have.
		cmd := exec.Command(everybodys, "run", "-v", "--init", "-t", "T", "-t", "U", "sh", "-c", "prlimit --pid $PPID --nproc=1:1 && exit 7")
		cmd.Args[0] = "filelock"
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		out, err := cmd.CombinedOutput()
		require.Equal(t, 7, cmd.ProcessState.ExitCode(), "%v: %s", err, out)
		left, err := filepath.Glob(filepath.Join(dir, "*.lock.*"))
		require.NoError(t, err)
		require.Empty(t, left, strings.Join(left, "\n"))
	}
}
