package liveness

import (
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescribe(t *testing.T) {
	d := Describe(os.Getpid())
	require.Equal(t, os.Args[0], d.Program)
	require.Equal(t, strings.Join(os.Args, " "), d.Command)
	// A user that only a directory service knows is told by number.
	want := []string{strconv.Itoa(os.Getuid())}
	if u, err := user.Current(); err == nil {
		want = append(want, u.Username)
	}
	require.Contains(t, want, d.User)

	require.Empty(t, Describe(noPID))
}

func TestUserName(t *testing.T) {
	root := "root"
	if _, err := os.Stat("/etc/passwd"); err != nil {
		root = "0" // a container need not have one
	}
	require.Equal(t, root, userName(0))
	require.Equal(t, "4294967293", userName(1<<32-3), "no such user")
}

// TestLetGo: a file is the same whatever its directory is called, as where other things are
// mounted; one that is gone, or a copy, is another.
func TestLetGo(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.Symlink(dir, other))
	path, spelled := filepath.Join(dir, "ticket"), filepath.Join(other, "ticket")
	open(t, path, os.O_RDONLY|os.O_CREATE)
	require.False(t, LetGo(noPID, path), "it cannot be seen")
	require.True(t, LetGo(os.Getpid(), path), "it is open for reading only")
	open(t, path, os.O_RDWR)
	for _, p := range []string{path, spelled} {
		require.False(t, LetGo(os.Getpid(), p), p)
	}
	require.NoError(t, os.Rename(path, path+" of old"))
	require.False(t, LetGo(os.Getpid(), path), "nobody can be seen to have it")
	require.NoError(t, os.WriteFile(path, nil, 0o666))
	require.True(t, LetGo(os.Getpid(), path), "a copy")
}

// open opens a file until the test ends.
func open(t *testing.T, path string, how int) {
	t.Helper()
	f, err := os.OpenFile(path, how, 0o666)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
}

// TestOpener finds the child that has the file open, by whatever name of its directory.
func TestOpener(t *testing.T) {
	const isChild = "FILELOCK_TEST_OPENER"
	if os.Getenv(isChild) != "" {
		io.Copy(io.Discard, os.Stdin) // until the test ends
		return
	}
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.Symlink(dir, other))
	path := filepath.Join(dir, "ticket")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	require.NoError(t, err)
	defer f.Close()
	require.Zero(t, Opener(path), "this process does not count")
	child := exec.Command(os.Args[0], "-test.run=^TestOpener$")
	child.Env = append(os.Environ(), isChild+"=1")
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	child.ExtraFiles = []*os.File{f}
	require.NoError(t, child.Start())
	defer child.Wait()
	defer child.Process.Kill()
	require.Equal(t, child.Process.Pid, Opener(path))
	require.Equal(t, child.Process.Pid, Opener(filepath.Join(other, "ticket")))
	require.Zero(t, Opener(path+" of old"))
}
