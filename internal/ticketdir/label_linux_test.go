package ticketdir

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// requireLabels skips where files have no attributes of users.
func requireLabels(t *testing.T, dir string) {
	t.Helper()
	o := create(t, queueIn(dir))
	if err := storeLabel(o.fd, "probe"); err != nil {
		t.Skip("extended attributes: ", err)
	}
}

func labelled(dir, label string) Queue {
	q := queueIn(dir)
	q.Label = label
	return q
}

// TestLabel: a label is there as soon as the ticket is, whatever the umask, and
// moves neither the ticket's number nor the directory's times.
func TestLabel(t *testing.T) {
	longest := strings.Repeat("x", MaxLabel)
	for name, tt := range map[string]struct {
		label string
		umask int
	}{
		"none":           {"", 0o022},
		"plain":          {"nightly backup", 0o022},
		"longest":        {longest, 0o022},
		"any bytes":      {"a\x00b\n\xff", 0o022},
		"nothing at all": {"nightly", 0o777},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				requireLabels(t, dir)
				defer unix.Umask(unix.Umask(tt.umask))
				o := create(t, labelled(dir, tt.label))
				n := mtime(t, o.Path())
				times, err := o.Times()
				require.NoError(t, err)
				list(t, o)
				assert.Equal(t, tt.label, other(t, view(t, queueIn(dir)), o.Name()).Label())
				assert.Equal(t, n, mtime(t, o.Path()))
				now, err := o.Times()
				require.NoError(t, err)
				assert.Equal(t, times, now)
			})
		})
	}
}

// TestLabelOfOneWhoMayNotWrite: until its mode is put right, a ticket may refuse its
// own owner.
func TestLabelOfOneWhoMayNotWrite(t *testing.T) {
	dir := sharedDir(t, 0o777)
	requireLabels(t, dir)
	q := labelled(dir, "nightly")
	asNobody(t, func() {
		defer unix.Umask(unix.Umask(0o777))
		o := New(q)
		_, err := o.Create()
		require.NoError(t, err)
		defer o.Remove()
		require.Empty(t, loadLabel(o.fd), "the case of this test")
		_, err = o.List()
		require.NoError(t, err)
		require.Equal(t, "nightly", loadLabel(o.fd))
	})
}

// TestLabelTooLong: what nobody of ours has written is not read.
func TestLabelTooLong(t *testing.T) {
	dir := t.TempDir()
	requireLabels(t, dir)
	o := create(t, queueIn(dir))
	require.NoError(t, storeLabel(o.fd, strings.Repeat("x", MaxLabel+1)))
	require.Empty(t, other(t, view(t, queueIn(dir)), o.Name()).Label())
}

// TestNoLabelAmongManyKernels: nothing touches the ticket's times there before the
// first listing (R10), and nobody asks a server for words.
func TestNoLabelAmongManyKernels(t *testing.T) {
	dir := t.TempDir()
	requireLabels(t, dir)
	first := create(t, labelled(dir, "first"))
	require.Equal(t, "first", loadLabel(first.fd))
	manyKernels(first)
	defer func() { first.h.filesystem.OneKernel = true }()
	second := create(t, labelled(dir, "second"))
	require.Same(t, first.h, second.h)
	list(t, second)
	fd, err := unix.Open(second.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.Empty(t, loadLabel(fd))
	require.Empty(t, other(t, view(t, queueIn(dir)), first.Name()).Label())
}

// TestNoLabels: a filesystem without extended attributes is as good as any other.
func TestNoLabels(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("ramfs", dir, "ramfs", 0, ""); err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() {
		CloseDir(dir)
		require.NoError(t, unix.Unmount(dir, 0))
	})
	v, err := Open(queueIn(dir))
	require.NoError(t, err)
	defer v.Close()
	o := New(labelled(dir, "nightly"))
	name, err := o.Create()
	require.NoError(t, err)
	require.Contains(t, list(t, o), name)
	in, err := v.OpenOther(name)
	require.NoError(t, err)
	require.Empty(t, in.Label())
	in.Close()
	require.NoError(t, o.Remove())
}
