//go:build unix

package ticketdir

import (
	"io/fs"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestNoRegularFiles: whatever else has a ticket's name is no ticket, is not
// followed, and keeps nobody waiting.
func TestNoRegularFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // a socket's path must be short
	at := func(kind string) string { return "t.lock.h.1." + kind + ".pid" }
	require.NoError(t, unix.Mkfifo(at("fifo"), 0o666))
	require.NoError(t, os.Mkdir(at("directory"), 0o777))
	require.NoError(t, os.WriteFile("victim", nil, 0o666))
	require.NoError(t, os.Symlink("victim", at("link")))
	require.NoError(t, os.Symlink("nothing", at("dangling")))
	require.NoError(t, os.Symlink(at("loop"), at("loop")))
	l, err := net.Listen("unix", at("socket"))
	require.NoError(t, err)
	defer l.Close()

	q := queueIn(dir)
	o, v := create(t, q), view(t, q)
	kinds := []string{"fifo", "directory", "link", "dangling", "loop", "socket"}
	each(t, o.h, func(t *testing.T) {
		assert.Len(t, list(t, o), 1)
		ts, err := v.List()
		require.NoError(t, err)
		assert.Len(t, ts, 1)
		for _, kind := range append(kinds, "nothing") {
			_, err := v.OpenOther(at(kind))
			require.Equal(t, fs.ErrNotExist, err, kind)
			_, err = v.Stat(at(kind))
			require.Equal(t, fs.ErrNotExist, err, kind)
			// Some filesystems' listings do not tell what an entry is.
			ts, _, err := v.numbers([]entry{{name: at(kind)}}, nil, v.read)
			require.NoError(t, err, kind)
			assert.Empty(t, ts, kind)
		}
	})
	for _, kind := range kinds {
		assert.Contains(t, names(t, dir), at(kind), "it is not ours to remove")
	}
}

// TestUnlinkedIsGone: the kernel tells of a removal a moment before the name is
// gone, so one that is quick may still open it.
func TestUnlinkedIsGone(t *testing.T) {
	q := queueIn(t.TempDir())
	o, v := create(t, q), view(t, q)
	f, err := os.Open(o.Path())
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, v.h.isTicket(int(f.Fd()), o.Name()))
	require.NoError(t, o.Remove())
	require.Equal(t, fs.ErrNotExist, v.h.isTicket(int(f.Fd()), o.Name()))
}

// TestProofOfAbsence: an open's answer that a server, or a device, may give for
// reasons of its own proves nothing. What is asked after it does.
func TestProofOfAbsence(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/ticket", nil, 0o644))
	require.NoError(t, os.Symlink("ticket", dir+"/link"))
	o := create(t, queueIn(dir))
	for _, answer := range []error{
		unix.ELOOP, unix.ENXIO, unix.ENODEV, unix.EMLINK, unix.EOPNOTSUPP, unix.EIO, unix.ESTALE, unix.EACCES, unix.EMFILE,
	} {
		assert.Equal(t, answer, o.h.unlessGone("ticket", answer))
		assert.Equal(t, fs.ErrNotExist, o.h.unlessGone("link", answer))
		assert.Equal(t, fs.ErrNotExist, o.h.unlessGone("nothing", answer))
	}
	assert.Equal(t, unix.ESTALE, o.h.unlessGone("ticket", unix.ENOENT), "of an open file that is no proof")
	assert.Equal(t, fs.ErrNotExist, o.h.unlessGone("nothing", unix.ENOENT))
}
