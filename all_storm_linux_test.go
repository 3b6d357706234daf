package filelock_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("sets", setsChild)
}

const (
	setPaths     = 6
	setSize      = 3
	setProcesses = 4
	setGoroutine = 4 // in each process
)

// sets is what processes that take sets of locks share: who is inside of each path. One
// that was killed inside counts as gone.
type sets struct{ *locktest.Guard }

const (
	wordSetStop = iota
	wordSetHolds
	wordSetOverlaps
	wordSetAlarms
	wordSetPaths // of each path, the pid of the writer, and how many readers each process has
)

// writer is the pid of who is inside alone.
func (s sets) writer(path int) *atomic.Int64 { return s.Word(wordSetPaths + path*(1+setProcesses)) }

// readers are those of one process: its pid and their number.
func (s sets) readers(path, process int) *atomic.Int64 {
	return s.Word(wordSetPaths + path*(1+setProcesses) + 1 + process)
}

const perProcess = 1 << 16 // more than there are readers in one

func (s sets) overlapIf(bad bool) {
	if bad {
		s.Word(wordSetOverlaps).Add(1)
	}
}

// others reports whether a process that lives has readers inside.
func (s sets) others(path int) bool {
	for process := range setProcesses {
		word := s.readers(path, process).Load()
		if word%perProcess != 0 && running(word/perProcess) {
			return true
		}
	}
	return false
}

func (s sets) enter(path, process int, shared bool) (leave func()) {
	pid := int64(os.Getpid())
	if shared {
		s.readers(path, process).Add(1)
		writer := s.writer(path).Load()
		s.overlapIf(writer != 0 && running(writer))
		return func() {
			writer := s.writer(path).Load()
			s.overlapIf(writer != 0 && running(writer))
			s.readers(path, process).Add(-1)
		}
	}
	before := s.writer(path).Swap(pid)
	s.overlapIf(before != 0 && running(before) || s.others(path))
	return func() {
		s.overlapIf(s.others(path) || !s.writer(path).CompareAndSwap(pid, 0))
	}
}

// setsChild has goroutines take random sets of locks of random kinds, over and over.
func setsChild(args []string) error {
	process, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	guard, err := locktest.OpenGuard(filepath.Join(args[0], "guard"))
	if err != nil {
		return err
	}
	s := sets{guard}
	alarm := slog.New(alarms{s.Word(wordSetAlarms)})
	locks := make([]*filelock.FileLock, setPaths)
	for i := range locks {
		s.readers(i, process).Store(int64(os.Getpid()) * perProcess)
		if locks[i], err = filelock.New(filepath.Join(args[0], string(rune('a'+i))), filelock.WithSlog(alarm)); err != nil {
			return err
		}
	}
	errs := make([]error, setGoroutine)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			for errs[i] == nil && s.Word(wordSetStop).Load() == 0 {
				errs[i] = s.once(locks, process)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// once takes one set of locks, unless it takes too long for its patience.
func (s sets) once(locks []*filelock.FileLock, process int) error {
	ctx := context.Background()
	if rand.IntN(8) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.Int64N(int64(5*time.Millisecond))))
		defer cancel()
	}
	var set []filelock.Claim
	type member struct {
		path   int
		shared bool
	}
	var members []member
	for _, path := range rand.Perm(setPaths)[:setSize] {
		m := member{path, rand.IntN(2) == 0}
		members = append(members, m)
		if m.shared {
			set = append(set, locks[path].Shared())
		} else {
			set = append(set, locks[path])
		}
	}
	err := filelock.DoAll(ctx, func(context.Context) error {
		s.Word(wordSetHolds).Add(1)
		for _, m := range members {
			defer s.enter(m.path, process, m.shared)()
		}
		if rand.IntN(4) == 0 {
			time.Sleep(time.Duration(rand.Int64N(int64(time.Millisecond))))
		}
		return nil
	}, set...)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, filelock.ErrLost) {
		err = nil
	}
	return err
}

// alarms counts what is told of deadlocks.
type alarms struct{ count *atomic.Int64 }

func (a alarms) Enabled(context.Context, slog.Level) bool { return true }
func (a alarms) WithAttrs([]slog.Attr) slog.Handler       { return a }
func (a alarms) WithGroup(string) slog.Handler            { return a }

func (a alarms) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "deadlock" {
		a.count.Add(1)
	}
	return nil
}

// TestNoFalseAlarm: of many that wait and hold, and go on, none is told of a deadlock.
// With confirmLook taken out of deadlock.go it fails.
func TestNoFalseAlarm(t *testing.T) {
	const looks = 3
	dir := t.TempDir()
	guard, err := locktest.OpenGuard(filepath.Join(dir, "guard"))
	require.NoError(t, err)
	s := sets{guard}
	var children []*locktest.Child
	for i := range setProcesses {
		children = append(children, locktest.Start(t, "sets", dir, i))
	}
	time.Sleep(time.Second + looks*1500*time.Millisecond)
	s.Word(wordSetStop).Store(1)
	for _, c := range children {
		c.Done()
	}
	t.Logf("%d holds, %d alarms", s.Word(wordSetHolds).Load(), s.Word(wordSetAlarms).Load())
	require.Zero(t, s.Word(wordSetAlarms).Load())
}

// TestSetsOfLocks: goroutines of several processes that take sets of the same locks, of
// both kinds, do not wait for each other in a circle, whatever of them is killed; no
// two are inside that must not be, nothing is left, and no false alarm is raised.
func TestSetsOfLocks(t *testing.T) {
	lasts := 2 * time.Second
	if *soak > 0 {
		lasts = *soak
	}
	const life = 150 * time.Millisecond
	onEach(t, func(t *testing.T, dir string) {
		guard, err := locktest.OpenGuard(filepath.Join(dir, "guard"))
		require.NoError(t, err)
		s := sets{guard}
		var children [setProcesses]*locktest.Child
		for i := range children {
			children[i] = locktest.Start(t, "sets", dir, i)
		}
		kills, progress, moved := 0, int64(0), time.Now()
		for began := time.Now(); time.Since(began) < lasts; {
			time.Sleep(life) // and then there is one less
			if holds := s.Word(wordSetHolds).Load(); holds != progress {
				progress, moved = holds, time.Now()
			}
			require.Less(t, time.Since(moved), stuck, "nobody goes on")
			i := rand.IntN(setProcesses)
			children[i].Kill()
			require.Equal(t, "signal: killed", children[i].Cmd.ProcessState.String(), children[i].Errors())
			kills++
			children[i] = locktest.Start(t, "sets", dir, i)
		}
		s.Word(wordSetStop).Store(1)
		for _, c := range children {
			c.Done()
		}
		t.Logf("%d holds of %d of %d locks, %d processes × %d goroutines, %d kills, %d overlaps, %d alarms",
			s.Word(wordSetHolds).Load(), setSize, setPaths, setProcesses, setGoroutine, kills,
			s.Word(wordSetOverlaps).Load(), s.Word(wordSetAlarms).Load())
		require.Zero(t, s.Word(wordSetOverlaps).Load(), "two were inside")
		require.Zero(t, s.Word(wordSetAlarms).Load(), "there was no deadlock")
		require.Greater(t, s.Word(wordSetHolds).Load(), int64(setProcesses*setGoroutine))
		var all []filelock.Claim
		for i := range setPaths { // the last of the dead are in nobody's way until somebody comes
			all = append(all, newLock(t, filepath.Join(dir, string(rune('a'+i)))))
		}
		ctx, cancel := context.WithTimeout(t.Context(), stuck)
		defer cancel()
		require.NoError(t, filelock.DoAll(ctx, func(context.Context) error { return nil }, all...))
		requireNoTickets(t, dir)
	})
}
