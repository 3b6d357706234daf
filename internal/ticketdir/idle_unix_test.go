//go:build unix

package ticketdir

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// idleDirs leaves n directories idle, and returns them in the order of use.
func idleDirs(t *testing.T, n int) (dirs []string) {
	t.Helper()
	parent := t.TempDir()
	for i := range n {
		dir := filepath.Join(parent, fmt.Sprint(i))
		require.NoError(t, os.Mkdir(dir, 0o777))
		for range 2 {
			require.NoError(t, create(t, queueIn(dir)).Remove())
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

func openDirs(dirs []string) (open []string) {
	for _, dir := range dirs {
		if openHandleOf(dir) != nil {
			open = append(open, dir)
		}
	}
	return open
}

// TestFewIdle: who goes from directory to directory keeps few of them open, and
// those the ones used last.
func TestFewIdle(t *testing.T) {
	CloseIdle()
	used := create(t, queueIn(t.TempDir()))
	dirs := idleDirs(t, 40)
	assert.Equal(t, dirs[len(dirs)-maxIdle:], openDirs(dirs))
	assert.Len(t, list(t, used), 1, "one in use is not given up")

	oldest := dirs[len(dirs)-maxIdle]
	require.NoError(t, create(t, queueIn(oldest)).Remove()) // not any more
	idleDirs(t, maxIdle-1)
	assert.Equal(t, []string{oldest}, openDirs(dirs))

	CloseIdle()
	assert.Empty(t, openDirs(dirs))
	assert.Len(t, list(t, used), 1)
	require.NoError(t, used.Remove())
	CloseIdle()
	assert.Empty(t, handles.idle)
	assert.Empty(t, handles.open)
}

// TestUsedOnce: a directory that is used once does not stay open, and one that is used
// again does, though others were used in between.
func TestUsedOnce(t *testing.T) {
	CloseIdle()
	t.Cleanup(CloseIdle)
	parent := t.TempDir()
	var dirs []string
	for i := range maxIdle {
		dirs = append(dirs, filepath.Join(parent, fmt.Sprint(i)))
		require.NoError(t, os.Mkdir(dirs[i], 0o777))
	}
	use := func(dirs []string) {
		for _, dir := range dirs {
			require.NoError(t, create(t, queueIn(dir)).Remove())
		}
	}
	use(dirs)
	assert.Empty(t, openDirs(dirs))
	use(dirs)
	assert.Equal(t, dirs, openDirs(dirs))
}

// TestNoDescriptors: for want of a descriptor, idle directories are given up.
func TestNoDescriptors(t *testing.T) {
	CloseIdle()
	q, r := queueIn(t.TempDir()), queueIn(t.TempDir())
	a := create(t, q)
	require.NoError(t, create(t, r).Remove()) // so that it stays open the next time
	idle := idleDirs(t, 3)

	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	few := limit
	few.Cur = 100
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &few))
	var taken []int
	takeAll := func() {
		for {
			fd, err := unix.Dup(a.fd)
			if err != nil {
				require.ErrorIs(t, err, unix.EMFILE)
				return
			}
			taken = append(taken, fd)
		}
	}
	takeAll()
	defer func() {
		for _, fd := range taken {
			unix.Close(fd)
		}
	}()

	o := New(r)
	_, err := o.Create() // a directory and a ticket
	require.NoError(t, err)
	assert.Empty(t, openDirs(idle))
	require.NoError(t, o.Remove())
	takeAll()
	b, err := a.OpenOther(a.Name()) // where the other directory was
	require.NoError(t, err)
	b.Close()
	takeAll()
	_, err = a.OpenOther(a.Name())
	requirePathError(t, err, "open", a.Path(), unix.EMFILE)
}
