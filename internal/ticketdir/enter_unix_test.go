//go:build unix

package ticketdir

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
)

// TestNameLookedUp: whether the own ticket is still there is asked by its name,
// and what answers must be the very file. A link elsewhere, as backups make
// them, keeps the link count up; and a removed name can be made again.
func TestNameLookedUp(t *testing.T) {
	write := func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, nil, 0o644)) }
	for name, tt := range map[string]struct {
		change func(t *testing.T, path string)
		want   error
		byOpen bool // an open tells
	}{
		"nothing": {func(*testing.T, string) {}, nil, true},
		"linked":  {func(t *testing.T, path string) { require.NoError(t, os.Link(path, path+".copy")) }, nil, true},
		"linked and removed": {func(t *testing.T, path string) {
			require.NoError(t, os.Link(path, path+".copy"))
			require.NoError(t, os.Remove(path))
		}, queue.ErrGone, true},
		"renamed": {func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, path+".copy"))
		}, queue.ErrGone, true},
		"replaced by a copy": {func(t *testing.T, path string) {
			n := mtime(t, path)
			write(t, path+".copy")
			setMtime(t, path+".copy", n)
			require.NoError(t, os.Rename(path+".copy", path))
		}, queue.ErrGone, false}, // a FUSE server may number files as it likes
		"replaced by a link": {func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, path+".copy"))
			require.NoError(t, os.Symlink(path+".copy", path))
		}, queue.ErrGone, true},
		"replaced by a directory": {func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, path+".copy"))
			require.NoError(t, os.Mkdir(path, 0o777))
		}, queue.ErrGone, true},
		"moved": {func(t *testing.T, path string) {
			setMtime(t, path, queue.Number{Sec: 5})
		}, queue.ErrMoved, true},
	} {
		for who, f := range map[string]struct {
			before, ask func(o *Own) error
		}{
			"Settle": {nil, func(o *Own) error { return o.Settle(true) }},
			"Enter": {func(o *Own) error { return o.Settle(true) }, func(o *Own) error {
				n, err := o.Enter()
				if err == nil && n != o.number {
					err = queue.ErrMoved // as package queue finds
				}
				return err
			}},
			"Beat": {func(o *Own) error { return o.Settle(true) }, (*Own).Beat},
		} {
			t.Run(who+"/"+name, func(t *testing.T) {
				dir := t.TempDir()
				keep := create(t, queueIn(dir))
				each(t, keep.h, func(t *testing.T) {
					o := create(t, queueIn(dir))
					list(t, o)
					if f.before != nil {
						require.NoError(t, f.before(o))
					}
					tt.change(t, o.Path())
					want := tt.want
					if !tt.byOpen && o.FollowsOpen() {
						want = nil
					}
					require.ErrorIs(t, f.ask(o), want)
					os.RemoveAll(o.Path()) // a directory cannot be unlinked
				})
			})
		}
	}
}

// TestEnterAtOnce: where many kernels mount the filesystem, a look is a message
// to a server, and the end of the doorway has just asked. After a wait it has
// not.
func TestEnterAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		since func(t *testing.T, o *Own) // the doorway
		waits bool
		want  error
	}{
		"at once":      {func(*testing.T, *Own) {}, false, nil},
		"after a wait": {func(*testing.T, *Own) {}, true, queue.ErrGone},
		"after sinking": {func(t *testing.T, o *Own) { // a wait may have followed
			_, err := o.Renumber(queue.Number{})
			require.NoError(t, err)
		}, false, queue.ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			o := create(t, queueIn(t.TempDir()))
			manyKernels(o)
			list(t, o)
			require.NoError(t, o.Settle(tt.waits))
			tt.since(t, o)
			require.NoError(t, os.Remove(o.Path()))
			_, err := o.Enter()
			require.ErrorIs(t, err, tt.want)
		})
	}
	t.Run("gone in the doorway", func(t *testing.T) {
		o := create(t, queueIn(t.TempDir()))
		manyKernels(o)
		list(t, o)
		require.NoError(t, os.Remove(o.Path()))
		require.ErrorIs(t, o.Settle(false), queue.ErrGone)
	})
	t.Run("with its number", func(t *testing.T) {
		o := create(t, queueIn(t.TempDir()))
		manyKernels(o)
		list(t, o)
		require.NoError(t, o.Settle(false))
		n, err := o.Enter()
		require.NoError(t, err)
		assert.Equal(t, mtime(t, o.Path()), n)
	})
}
