package fence

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func yes() bool { return true }

func no() bool { return false }

// newTestRecord returns a record of a process of its own, as it were.
func newTestRecord(t *testing.T, path string, alone func() bool) *Record {
	r := New(path, alone)
	t.Cleanup(r.Close)
	return r
}

func next(t *testing.T, r *Record) uint64 {
	t.Helper()
	token, err := r.Next()
	require.NoError(t, err)
	return token
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// each runs f where the kernel is alone and where it is not.
func each(t *testing.T, f func(t *testing.T, path string, alone func() bool)) {
	for name, alone := range map[string]func() bool{"alone": yes, "server": no} {
		t.Run(name, func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "target.lock.fence"), alone) })
	}
}

// TestOneEmptyFile: that is all that is left, however many tokens were taken by
// however many processes.
func TestOneEmptyFile(t *testing.T) {
	each(t, func(t *testing.T, path string, alone func() bool) {
		last := uint64(0)
		for range 5 {
			r := newTestRecord(t, path, alone)
			for range 3 * span / 2 {
				token := next(t, r)
				require.Greater(t, token, last)
				last = token
			}
		}
		require.Equal(t, []string{filepath.Base(path)}, names(t, filepath.Dir(path)))
		files := names(t, path)
		require.Len(t, files, 1)
		info, err := os.Stat(filepath.Join(path, files[0]))
		require.NoError(t, err)
		require.Zero(t, info.Size())
		s, ok := parse(files[0])
		require.True(t, ok)
		require.Equal(t, last, s.last)
		require.Less(t, last, uint64(1)<<53, "others may keep it as a float")
	})
}

// TestTakersAtOnce: those who are inside together have tokens of their own.
func TestTakersAtOnce(t *testing.T) {
	each(t, func(t *testing.T, path string, alone func() bool) {
		const takers, each = 8, 100
		var mu sync.Mutex
		tokens := map[uint64]int{}
		var group sync.WaitGroup
		for range takers {
			r := newTestRecord(t, path, alone)
			group.Go(func() {
				last := uint64(0)
				for range each {
					token, err := r.Next()
					if !assert.NoError(t, err) {
						return
					}
					assert.Greater(t, token, last)
					last = token
					mu.Lock()
					tokens[token]++
					mu.Unlock()
				}
			})
		}
		group.Wait()
		require.Len(t, tokens, takers*each, "tokens were given twice")
		require.Len(t, names(t, path), 1)
		require.Equal(t, []string{filepath.Base(path)}, names(t, filepath.Dir(path)))
	})
}

// TestSyncs: one sync is for many tokens where the process's life proves that there
// was no loss of power.
func TestSyncs(t *testing.T) {
	const tokens = 2*span + 1
	for name, tt := range map[string]struct {
		alone func() bool
		syncs int
	}{"alone": {yes, 3}, "server": {no, tokens}} {
		t.Run(name, func(t *testing.T) {
			syncs := 0
			r := newRecord("record", tt.alone, &fake{disk: new(disk), step: func(what string) {
				if what == "sync" {
					syncs++
				}
			}})
			defer r.Close()
			for range tokens {
				next(t, r)
			}
			require.Equal(t, tt.syncs, syncs)
			r.Close()
			next(t, r)
			require.Equal(t, tt.syncs+1, syncs, "who opens it again cannot know")
		})
	}
}

// TestRecordIsNotAsItWas: what an operator, a backup or somebody hostile may have
// made of the record is told where it can be known, with what to do, and that helps.
func TestRecordIsNotAsItWas(t *testing.T) {
	old := state{last: 7, limit: 9, synced: true}.String()
	replace := func(name string) func(path string) error {
		return func(path string) error {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
			return mkRecord(path, name)
		}
	}
	empty := func(path string) error {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		return os.Mkdir(path, 0o755)
	}
	for name, tt := range map[string]struct {
		harm func(path string) error
		want string
		// fresh: a process without a token from it is told, too.
		fresh bool
	}{
		"removed":    {os.RemoveAll, "was removed", false},
		"older copy": {replace(old), "went back to 9", false},
		"emptied":    {empty, "no file of the form", true},
		"junk":       {replace("07-9"), "no file of the form", true},
		"a file":     {func(path string) error { _ = os.RemoveAll(path); return os.WriteFile(path, nil, 0o644) }, "no directory", true},
		"a symbolic link": {func(path string) error {
			return errorsOf(os.Rename(path, path+".away"), os.Symlink(path+".away", path))
		}, "no directory", true},
		"no number is left": {replace(fmt.Sprintf("%d-%d", uint64(math.MaxUint64), uint64(math.MaxUint64))), "no token is left", true},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, path string, alone func() bool) {
				r := newTestRecord(t, path, alone)
				last := next(t, r)
				require.NoError(t, tt.harm(path))
				for range 2 {
					_, err := r.Next()
					require.ErrorIs(t, err, ErrRecord)
					require.ErrorContains(t, err, tt.want)
					require.ErrorContains(t, err, path)
				}
				begun, err := newTestRecord(t, path, alone).Next()
				if name == "removed" {
					require.Greater(t, begun, last, "the clock goes on")
				}
				if tt.fresh {
					require.ErrorIs(t, err, ErrRecord)
					require.ErrorContains(t, err, tt.want)
				} else {
					require.NoError(t, err)
				}
				require.NoError(t, replace(fmt.Sprintf("%d-%d", last+1<<20, last+1<<20))(path), "as the error says")
				require.Greater(t, next(t, r), last+1<<20)
			})
		})
	}
}

func mkRecord(path, name string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(path, name), nil, 0o644)
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestReplacedByHigher: a record that was moved away and put there anew, higher, is
// used from then on, also by those who have the other one open.
func TestReplacedByHigher(t *testing.T) {
	each(t, func(t *testing.T, path string, alone func() bool) {
		r := newTestRecord(t, path, alone)
		last := next(t, r)
		require.NoError(t, os.Rename(path, path+".away"))
		high := last + 1<<30
		require.NoError(t, mkRecord(path, fmt.Sprintf("%d-%d", high, high)))
		require.Greater(t, next(t, r), high)
	})
}

// TestMakersAtOnce: of several that make a record there is one, whoever is killed at
// whatever step.
func TestMakersAtOnce(t *testing.T) {
	steps := Steps[slices.Index(Steps, "make"):]
	for _, fatal := range steps {
		t.Run(fatal, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "target.lock.fence")
			victim := newTestRecord(t, path, yes)
			folder := victim.dir.(*folder)
			folder.at = func(step string) {
				if step == fatal {
					panic(killed{}) // nothing of it goes on
				}
			}
			require.PanicsWithValue(t, killed{}, func() { victim.Next() })
			survivor := newTestRecord(t, path, yes)
			require.Greater(t, next(t, survivor), uint64(0))
			require.Len(t, names(t, path), 1)
			require.Equal(t, []string{filepath.Base(path)}, names(t, dir), "what the killed one left is still there")
		})
	}
}

// TestStateNames: a name has one meaning, and a state one name.
func TestStateNames(t *testing.T) {
	for _, s := range []state{
		{}, {last: 1, limit: 2}, {last: 5, limit: 5, synced: true},
		{last: math.MaxUint64, limit: math.MaxUint64, synced: true}, firstState(time.Now()),
	} {
		got, ok := parse(s.String())
		require.True(t, ok, s.String())
		require.Equal(t, s, got)
	}
	for _, name := range []string{
		"", "-", "1", "1-", "-1", "2-1", "01-1", "1-01", "+1-1", "1-1-", "1-1-unsynce", "1-1-unsynced-", " 1-1",
		"1-18446744073709551616", scratch, ".", "1_0-10",
	} {
		_, ok := parse(name)
		require.False(t, ok, name)
	}
}

// TestClosedWhenIdle: nothing is kept open for long, nor by very many.
func TestClosedWhenIdle(t *testing.T) {
	dir := t.TempDir()
	var records []*Record
	for i := range 3 * maxOpen {
		r := newTestRecord(t, filepath.Join(dir, fmt.Sprint(i)), yes)
		next(t, r)
		records = append(records, r)
	}
	count := func() (n int) {
		for _, r := range records {
			r.mu.Lock()
			if r.opened {
				n++
			}
			r.mu.Unlock()
		}
		return n
	}
	require.LessOrEqual(t, count(), maxOpen)
	require.NotZero(t, count())
	for began := time.Now(); count() > 0; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), 10*keep, "still open")
	}
	for _, r := range records {
		next(t, r)
	}
	require.True(t, CloseIdle())
	require.Zero(t, count())
	require.False(t, CloseIdle())
}

// TestNewNamesAreNoRecords: what is being made is taken for nothing else.
func TestNewNamesAreNoRecords(t *testing.T) {
	require.False(t, strings.HasSuffix("target.lock.fence", newEnd))
	_, ok := highest([]string{scratch, "a" + newEnd})
	require.False(t, ok)
}

// TestNoDescriptorLeft: what is kept open for later use is given up for a token.
func TestNoDescriptorLeft(t *testing.T) {
	for name, spare := range map[string]bool{"some are kept": true, "none is": false} {
		t.Run(name, func(t *testing.T) {
			defer func(was func()) { Spare = was }(Spare)
			full := true
			Spare = func() { full = !spare }
			r := newRecord("record", yes, noFiles{&fake{disk: new(disk), step: func(string) {}}, &full})
			defer r.Close()
			_, err := r.Next()
			if spare {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, syscall.EMFILE)
			}
		})
	}
}

type noFiles struct {
	directory
	full *bool
}

func (f noFiles) open() error {
	if *f.full {
		return &fs.PathError{Op: "open", Path: "record", Err: syscall.EMFILE}
	}
	return f.directory.open()
}

// TestFailedSync: no token is given that a loss of power could take.
func TestFailedSync(t *testing.T) {
	failing := true
	d := &disk{}
	r := newRecord("record", yes, failSync{&fake{disk: d, step: func(string) {}}, &failing})
	defer r.Close()
	for range 3 {
		_, err := r.Next()
		require.ErrorIs(t, err, fs.ErrInvalid)
	}
	s, ok := highest(d.names)
	require.True(t, ok)
	require.False(t, s.synced, "others go by it")
	failing = false
	require.Greater(t, next(t, r), s.limit)
}

type failSync struct {
	directory
	failing *bool
}

func (f failSync) sync(born bool) error {
	if *f.failing {
		return &fs.PathError{Op: "sync", Path: "record", Err: fs.ErrInvalid}
	}
	return f.directory.sync(born)
}
