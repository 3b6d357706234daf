//go:build unix

package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// holding is a run that has the lock of a target.
func holdingRun(t *testing.T, target string) *run {
	t.Helper()
	l, err := filelock.New(target)
	require.NoError(t, err)
	require.NoError(t, l.TryLock())
	return &run{
		flags:   &runFlags{lockFlags: &lockFlags{}, command: []string{"true"}, exec: true},
		std:     streams{os.Stdin, os.Stdout, os.Stderr},
		signals: &signals{c: make(chan os.Signal, 1)},
		held:    &held{locks: []*filelock.FileLock{l}, release: l.Unlock},
	}
}

// A signal that comes beside the witness ends the run, or is kept for the command; it is
// never lost.
func TestSignalBesideTheWitness(t *testing.T) {
	r := holdingRun(t, filepath.Join(t.TempDir(), "T"))
	for range 2000 {
		go func() { r.signals.c <- syscall.SIGTERM }()
		f, err := r.witness(r.held.locks[0])
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.Nil(t, f)
			continue
		}
		f.Close()
		select {
		case <-r.signals.c:
		case <-time.After(10 * time.Second):
			require.Fail(t, "the signal is lost")
		}
	}
	require.NoError(t, r.held.release())
	require.NoError(t, r.held.locks[0].Close())
}

// A signal that comes after the wait, and before there is a command to pass it on to, ends
// the run, with the lock given back.
func TestSignalBeforeTheCommand(t *testing.T) {
	const helper, target = "FILELOCK_TEST_STEP", "FILELOCK_TEST_TARGET"
	steps := map[string]func(*run){
		"bequest": func(r *run) { _, _ = r.work(nil) },
		"exec":    func(r *run) { _, _ = r.become(os.Environ()) },
	}
	if step := steps[os.Getenv(helper)]; step != nil {
		r := holdingRun(t, os.Getenv(target))
		r.signals.c <- syscall.SIGTERM
		step(r)
		t.Fatal("it goes on")
	}
	for name := range steps {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0], "-test.run=^TestSignalBeforeTheCommand$")
			cmd.Env = append(os.Environ(), helper+"="+name, target+"="+filepath.Join(dir, "T"))
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "%s", out)
			require.Equal(t, syscall.SIGTERM, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(), "%s", out)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}
