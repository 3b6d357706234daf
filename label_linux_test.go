package filelock_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() { locktest.Register("labelled", labelledChild) }

// labelledChild is holdChild with a label.
func labelledChild(args []string) error {
	l, err := filelock.New(args[0], filelock.WithLabel(args[1]))
	if err != nil {
		return err
	}
	return holdUntilTold(l)
}

// labelAttribute is where a label is.
const labelAttribute = "user.filelock.label"

// requireLabels skips where files have no attributes of users.
func requireLabels(t *testing.T, dir string) {
	t.Helper()
	requireOneKernel(t, dir)
	file := filepath.Join(dir, "probe")
	require.NoError(t, touch(file))
	defer os.Remove(file)
	if err := unix.Setxattr(file, labelAttribute, []byte("probe"), 0); err != nil {
		t.Skip("extended attributes: ", err)
	}
}

// TestLabelSaysWho: the error of one who gave up has all that Inspect has.
func TestLabelSaysWho(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		requireLabels(t, dir)
		path := filepath.Join(dir, "target")
		holder := locktest.Start(t, "labelled", path, "nightly backup")
		holder.Expect("held")
		q, err := filelock.Inspect(path)
		require.NoError(t, err)
		want := q.Tickets[0]
		require.Equal(t, "nightly backup", want.Label)
		require.NotEmpty(t, want.User)
		require.Contains(t, want.Command, filepath.Base(os.Args[0]))

		impatient := newLock(t, path, filelock.WithTimeout(mustBlock))
		for name, err := range map[string]error{
			"try": impatient.TryLock(), "timeout": impatient.Acquire(context.Background()),
		} {
			var busy *filelock.BusyError
			require.ErrorAs(t, err, &busy, name)
			got := busy.Holder
			require.Equal(t, []string{want.Label, want.Command, want.User}, []string{got.Label, got.Command, got.User}, name)
			require.Contains(t, err.Error(), fmt.Sprintf(`pid %d "nightly backup" (`, holder.Pid()), name)
			require.Contains(t, err.Error(), fmt.Sprintf(", user %s), queued since ", want.User), name)
			require.NotContains(t, err.Error(), "-test.", "arguments may be secret")
			text, err := json.Marshal(busy)
			require.NoError(t, err)
			var fields struct {
				Holder struct{ Label, Command, User string }
			}
			require.NoError(t, json.Unmarshal(text, &fields))
			require.Equal(t, []string{want.Label, want.Command, want.User}, []string{fields.Holder.Label, fields.Holder.Command, fields.Holder.User}, name)
		}
		stop(t, holder)
		busy, _ := refused(t, path)
		require.True(t, busy.Holder.Stopped)
	})
}

// TestLabelsOfOneProcess: each holder has its own, whoever waited or rested before,
// and however its goroutines hand the lock on.
func TestLabelsOfOneProcess(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		requireLabels(t, dir)
		path := filepath.Join(dir, "target")
		var locks []*filelock.FileLock
		for _, label := range []string{"", "a", "b"} {
			locks = append(locks, newLock(t, path, filelock.WithLabel(label), filelock.WithLinger(time.Hour), filelock.WithBatch(time.Hour)))
		}
		inside := func(l *filelock.FileLock, label string) error {
			return l.Do(context.Background(), func(context.Context) error {
				q, err := filelock.Inspect(path)
				if err != nil {
					return err
				}
				if holder, ok := q.Holder(); !ok || holder.Label != label {
					return fmt.Errorf("inside is %q, not %q", holder.Label, label)
				}
				return nil
			})
		}
		for range 3 { // one after the other: they rest in between
			for i, label := range []string{"", "a", "b"} {
				require.NoError(t, inside(locks[i], label))
				require.NoError(t, inside(locks[i], label))
			}
		}
		var all []<-chan error
		for range waiters { // at the same time
			for i, label := range []string{"", "a", "b"} {
				all = append(all, start(func() error { return inside(locks[i], label) }))
			}
		}
		for _, done := range all {
			require.NoError(t, result(t, done))
		}
		require.NoError(t, locks[0].Close())
		requireNoTickets(t, dir)
	})
}

// TestLabelAtRest: a ticket keeps its label, and is come back to.
func TestLabelAtRest(t *testing.T) {
	dir := t.TempDir()
	requireRest(t, dir)
	requireLabels(t, dir)
	path := filepath.Join(dir, "target")
	l := newLock(t, path, filelock.WithLabel("nightly"), filelock.WithLinger(time.Hour))
	require.NoError(t, use(l, 2))
	rests := tickets(t, dir)
	require.Len(t, rests, 1)
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	require.Equal(t, filelock.Resting, q.Tickets[0].State)
	require.Equal(t, "nightly", q.Tickets[0].Label)

	same := newLock(t, path, filelock.WithLabel("nightly"), filelock.WithLinger(time.Hour))
	acquire(t, same)
	require.Equal(t, rests, tickets(t, dir), "it was come back to")
	require.NoError(t, same.Unlock())
	require.NoError(t, l.Close())
}

// TestLabelOfStranger: another user's label can have anything in it.
func TestLabelOfStranger(t *testing.T) {
	dir := t.TempDir()
	requireLabels(t, dir)
	path := filepath.Join(dir, "target")
	file := plant(t, path, elsewhere)
	holdEntry(t, file)
	require.NoError(t, unix.Setxattr(file, labelAttribute, []byte("x\"\nheld by nobody\x1b[2J\u202e\xff"), 0))
	busy, text := refused(t, path)
	t.Log(text)
	require.Equal(t, "x\"\nheld by nobody\x1b[2J\u202e\xff", busy.Holder.Label, "as it is, for those who quote it")
	require.Contains(t, text, `"x\"\nheld by nobody\x1b[2J\u202e\xff", queued since`)
	require.False(t, strings.ContainsAny(text, "\n\x1b\u202e"))

	require.NoError(t, unix.Setxattr(file, labelAttribute, []byte(strings.Repeat("x", filelock.MaxLabel+1)), 0))
	busy, _ = refused(t, path)
	require.Empty(t, busy.Holder.Label)
}

func TestLabelTooLong(t *testing.T) {
	path := target(t)
	_, err := filelock.New(path, filelock.WithLabel(strings.Repeat("x", filelock.MaxLabel)))
	require.NoError(t, err)
	_, err = filelock.New(path, filelock.WithLabel(strings.Repeat("x", filelock.MaxLabel+1)))
	require.ErrorIs(t, err, filelock.ErrInvalid)
	var e *filelock.Error
	require.True(t, errors.As(err, &e))
}
