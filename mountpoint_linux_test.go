package filelock_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	worldMains["new"] = worldNew
}

// worldNew says what New makes of a target, with a queue directory and without.
func worldNew(_ world, args []string) error {
	for _, opts := range [][]filelock.Option{nil, {filelock.WithQueueDir(args[1])}} {
		l, err := filelock.New(args[0], opts...)
		if err == nil {
			err = errors.Join(l.TryLock(), l.Unlock())
		}
		locktest.Say("ErrInvalid %v: %v", errors.Is(err, filelock.ErrInvalid), err)
	}
	return nil
}

// TestMountPoint: a single file that is bind-mounted into a container has other
// neighbours there than outside, so that both would queue in directories of
// their own. A directory that is mounted is what both see.
func TestMountPoint(t *testing.T) {
	t.Parallel()
	outside, inside, queues := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{outside, inside} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "target"), nil, 0o666))
	}
	require.NoError(t, os.Symlink(filepath.Join(inside, "target"), filepath.Join(queues, "link")))
	file := world{Mounts: []mounted{{Source: filepath.Join(outside, "target"), Dir: filepath.Join(inside, "target")}}}
	dir := world{Mounts: []mounted{{Source: outside, Dir: inside}}}
	requireWorld(t, file)
	const free = "ErrInvalid false: <nil>"
	for _, tt := range []struct {
		name    string
		w       world
		target  string
		refused bool
	}{
		{"the file is mounted", file, filepath.Join(inside, "target"), true},
		{"by a link to it", file, filepath.Join(queues, "link"), true},
		{"its neighbour is mounted", file, filepath.Join(inside, "other"), false},
		{"the file outside", file, filepath.Join(outside, "target"), false},
		{"its directory is mounted", dir, filepath.Join(inside, "target"), false},
		{"it does not exist", dir, filepath.Join(inside, "none"), false},
	} {
		c := inWorld(t, tt.w, "new", tt.target, queues)
		got := c.Line()
		t.Logf("%s: %s", tt.name, got)
		if tt.refused {
			require.True(t, strings.HasPrefix(got, "ErrInvalid true: "), tt.name)
			require.Contains(t, got, "WithQueueDir", tt.name)
			require.Contains(t, got, fmt.Sprintf("new %s: ", tt.target), tt.name)
		} else {
			require.Equal(t, free, got, tt.name)
		}
		c.Expect(free)
		c.Done()
	}
}
