package filelock_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() { locktest.Register("token", tokenChild) }

// tokenChild acquires once and says its token.
func tokenChild(args []string) error {
	l, err := filelock.New(args[0], filelock.WithFencing(), filelock.WithLinger(0))
	if err != nil {
		return err
	}
	if err := l.TryLock(); err != nil {
		return err
	}
	token, err := l.Token()
	if err != nil {
		return err
	}
	locktest.Say("%d", token)
	return l.Unlock()
}

// recordOf returns the one file of a record.
func recordOf(t *testing.T, path string) string {
	t.Helper()
	files, err := filepath.Glob(path + ".lock.fence/*")
	require.NoError(t, err)
	require.Len(t, files, 1)
	return files[0]
}

// TestVandalsOfTheRecord: what they can do to the record of tokens.
func TestVandalsOfTheRecord(t *testing.T) {
	vandals := map[string]func(record string) error{
		"lower it": func(record string) error { return os.Rename(record, filepath.Join(filepath.Dir(record), "1-1")) },
		"raise it": func(record string) error {
			return os.Rename(record, filepath.Join(filepath.Dir(record), "8999999999999999-8999999999999999"))
		},
		"add to it":  func(record string) error { return plantFile(filepath.Join(filepath.Dir(record), "1-1")) },
		"remove it":  os.Remove,
		"replace it": func(record string) error { return os.Rename(filepath.Dir(record), filepath.Dir(record)+".away") },
	}
	for name, vandal := range vandals {
		t.Run("who may read/"+name, func(t *testing.T) {
			path := filepath.Join(shared(t, 0o755), "target")
			l := newLock(t, path, filelock.WithFencing(), filelock.WithLinger(0))
			require.NoError(t, l.TryLock())
			last := tokenOf(t, l)
			require.NoError(t, l.Unlock())
			record := recordOf(t, path)
			asUser(t, mallory, func() { require.ErrorIs(t, vandal(record), os.ErrPermission) })
			require.Equal(t, record, recordOf(t, path))
			require.NoError(t, l.TryLock())
			require.Greater(t, tokenOf(t, l), last)
			require.NoError(t, l.Unlock())
		})
	}
	// In a sticky directory the record is everybody's, or users could not count on from
	// each other's tokens.
	for name, want := range map[string]struct {
		knows error // what a process gets that has a token of before
		old   bool  // another one gets old tokens
	}{
		"lower it":  {knows: filelock.ErrFencingRecord, old: true},
		"remove it": {knows: filelock.ErrFencingRecord},
	} {
		t.Run("who may create/"+name, func(t *testing.T) {
			path := filepath.Join(shared(t, sticky), "target")
			l := newLock(t, path, filelock.WithFencing(), filelock.WithLinger(0))
			require.NoError(t, l.TryLock())
			last := tokenOf(t, l)
			require.NoError(t, l.Unlock())
			record := recordOf(t, path)
			asUser(t, mallory, func() { require.NoError(t, vandals[name](record)) })

			err := l.TryLock()
			require.ErrorIs(t, err, want.knows)
			require.ErrorContains(t, err, filepath.Dir(record))
			require.False(t, l.Held())
			newcomer := locktest.Start(t, "token", path)
			if !want.old {
				require.ErrorContains(t, newcomer.Wait(), "exit status 1")
				require.Contains(t, newcomer.Errors(), filepath.Dir(record))
				return
			}
			token, err := strconv.ParseUint(newcomer.Line(), 10, 64)
			require.NoError(t, err)
			require.LessOrEqual(t, token, last, "should it be refused by now, SECURITY.md is to say so")
			newcomer.Done()
		})
	}
}
