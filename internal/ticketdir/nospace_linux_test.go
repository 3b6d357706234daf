package ticketdir

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// TestNoSpace: a full filesystem is no queue.
func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "nr_inodes=4"); err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	q := queueIn(dir)
	a := create(t, q)
	manyKernels(a) // so that raises need a file too
	for i := 0; ; i++ {
		if err := os.WriteFile(fmt.Sprint(dir, "/", i), nil, 0o644); err != nil {
			require.ErrorIs(t, err, unix.ENOSPC)
			break
		}
		require.Less(t, i, 10)
	}
	left := names(t, dir)

	b := New(q)
	_, err := b.Create()
	require.ErrorContains(t, err, dir+"/t.lock.")
	requirePathError(t, err, "create", pathIn(err), unix.ENOSPC)
	assert.NoError(t, b.Remove(), "there is nothing to remove")

	n := queue.Number{Sec: 1}
	requirePathError(t, a.Announce(n), "create", dir+"/"+ticket.Raised(a.Name(), n), unix.ENOSPC)
	_, err = a.Renumber(n)
	require.NoError(t, err)
	_, err = a.List() // needs a scratch file
	require.ErrorIs(t, err, unix.ENOSPC)
	require.ErrorContains(t, err, "create "+dir+"/t.lock.")
	assert.Equal(t, left, names(t, dir))
	require.NoError(t, a.Remove())
}

// pathIn returns the path in a message, where it has a random part.
func pathIn(err error) string { return strings.TrimSuffix(strings.Fields(err.Error())[1], ":") }

// TestDevice: a device without a driver cannot be opened, and is no ticket all
// the same.
func TestDevice(t *testing.T) {
	q := queueIn(t.TempDir())
	o := create(t, q)
	const name = "t.lock.h.1.device.pid"
	if err := unix.Mknod(o.path(name), unix.S_IFCHR|0o666, int(unix.Mkdev(240, 7))); err != nil {
		t.Skip("mknod: ", err)
	}
	_, err := o.OpenOther(name)
	require.Equal(t, fs.ErrNotExist, err)
	each(t, o.h, func(t *testing.T) {
		_, err := o.Stat(name)
		require.Equal(t, fs.ErrNotExist, err)
	})
}
