package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	ctrlS = "\x13"
	ctrlQ = "\x11"
)

// A terminal that takes nothing, after Ctrl-S, keeps the command from nothing: neither from
// running when its turn has come, nor from ending by a signal.
func TestHaltedTerminal(t *testing.T) {
	t.Parallel()
	s := shellScreen(t)
	holder := spawned(t, s.dir, "filelock", "run", "T", "child", "-pid", "pid", "-until", "end")
	s.file("pid")
	s.enter("filelock run T sh -c 'echo $$ >pid2; exec child -until end2'")
	s.expect(`\rwaiting 0s for T`)
	s.press(ctrlS)
	s.still()
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "end"), nil, 0o666))
	s.file("pid2")
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "end2"), nil, 0o666))
	require.NoError(t, holder.Wait())
	until(t, "given back", func() bool { return len(ticketsIn(t, s.dir)) == 0 })
	s.press(ctrlQ)
	s.prompt(0)

	s.remove("end")
	s.remove("pid")
	spawned(t, s.dir, "filelock", "run", "T", "child", "-pid", "pid", "-until", "end")
	s.file("pid")
	s.enter("filelock run T sh -c 'echo no'; echo $? >code")
	s.expect(`\rwaiting 0s for T`)
	s.press(ctrlS)
	s.still()
	waiter := s.foreground()
	require.NoError(t, unix.Kill(waiter, unix.SIGTERM))
	until(t, "ended", func() bool { return unix.Kill(waiter, 0) == unix.ESRCH })
	s.press(ctrlQ)
	s.prompt(0)
	require.Equal(t, "143", s.file("code"))
}

// foreground returns the terminal's foreground process group.
func (s *screen) foreground() (group int) {
	s.t.Helper()
	raw, err := s.tty.SyscallConn()
	require.NoError(s.t, err)
	require.NoError(s.t, raw.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) }))
	require.NoError(s.t, err)
	return group
}

// still waits until the foreground process is kept by a write to its standard error.
func (s *screen) still() {
	s.t.Helper()
	tasks := fmt.Sprintf("/proc/%d/task/*/syscall", s.foreground())
	writes := fmt.Sprintf("%d 0x2 ", unix.SYS_WRITE)
	until(s.t, "kept by a write", func() bool {
		calls, err := filepath.Glob(tasks)
		require.NoError(s.t, err)
		return slices.ContainsFunc(calls, func(call string) bool {
			text, err := os.ReadFile(call)
			return err == nil && strings.HasPrefix(string(text), writes)
		})
	})
}

// A command whose lock is lost is ended even if nobody reads what is said of that.
func TestLossUnread(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	fd := int(w.Fd())
	require.NoError(t, unix.SetNonblock(fd, true))
	for err == nil { // until it is full
		_, err = unix.Write(fd, make([]byte, 4096))
	}
	require.NoError(t, unix.SetNonblock(fd, false))
	cmd := exec.Command("filelock", "run", "--lease", "1", "--kill-on-loss", "T", "child", "-pid", "pid", "-until", "end")
	cmd.Dir, cmd.Stderr = dir, w
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	w.Close()
	pid := waitForFile(t, filepath.Join(dir, "pid"))
	for _, ticket := range ticketsIn(t, dir) {
		require.NoError(t, os.Remove(ticket))
	}
	until(t, "ended", func() bool { return stateOf(pid) == 0 })
	_, err = r.Read(make([]byte, 1<<16))
	require.NoError(t, err)
	_ = cmd.Wait()
	require.Equal(t, 68, cmd.ProcessState.ExitCode())
}
