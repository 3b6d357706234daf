package filelock_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() { locktest.Register("onlooker", onlookerChild) }

// onlookerChild is holdChild, and says how many are ahead of it, and who the holder
// is, whenever that has changed.
func onlookerChild(args []string) error {
	last := ""
	l, err := filelock.New(args[0], filelock.WithPollInterval(quickly), filelock.WithOnWait(func(w filelock.Wait) {
		if now := fmt.Sprintf("sees %d %d", w.Ahead, w.Holder.PID); now != last {
			locktest.Say("%s", now)
			last = now
		}
	}))
	if err != nil {
		return err
	}
	return holdUntilTold(l)
}

// TestOnWaitAcrossProcesses: of 16 processes behind a holder each sees every change of
// the one inside and of its own position, and nothing that was not so.
func TestOnWaitAcrossProcesses(t *testing.T) {
	const onlookers = 16
	onEach(t, func(t *testing.T, dir string) {
		requireOneKernel(t, dir)
		path := filepath.Join(dir, "target")
		var children []*locktest.Child
		for i := range onlookers + 1 {
			children = append(children, locktest.Start(t, "onlooker", path))
			if i == 0 {
				children[0].Expect("held")
			} else {
				children[i].Expect(fmt.Sprintf("sees %d %d", i, children[0].Pid()))
			}
		}
		for holder, c := range children {
			c.Go()
			c.Expect("released")
			for i, behind := range children[holder+1:] {
				if i == 0 {
					behind.Expect("held")
				} else {
					behind.Expect(fmt.Sprintf("sees %d %d", i, children[holder+1].Pid()))
				}
			}
			c.Done()
		}
		requireNoTickets(t, dir)
	})
}

// TestOnWaitVerdict: what becomes of the holder is told, though the queue does not move.
func TestOnWaitVerdict(t *testing.T) {
	path := target(t)
	requireOneKernel(t, filepath.Dir(path))
	holder := locktest.Start(t, "bequeath", path)
	heir, err := strconv.Atoi(holder.Line())
	require.NoError(t, err)
	process, err := os.FindProcess(heir)
	require.NoError(t, err)
	t.Cleanup(func() { process.Kill() })
	l, waits := observed(t, path)
	done := start(func() error { return l.Acquire(context.Background()) })

	w := requireWait(t, waits, 1)
	require.Equal(t, []any{filelock.Inside, holder.Pid(), false, 0}, []any{w.Holder.State, w.Holder.PID, w.Holder.Stopped, w.Holder.Heir})
	require.NotEmpty(t, w.Holder.Command)
	require.NotEmpty(t, w.Holder.User)
	stop(t, holder)
	w = requireWait(t, waits, 1)
	require.True(t, w.Holder.Stopped)
	require.Contains(t, w.String(), "the process is stopped")
	require.NotEmpty(t, w.Holder.Command)
	require.NoError(t, holder.Cmd.Process.Signal(syscall.SIGCONT))
	require.False(t, requireWait(t, waits, 1).Holder.Stopped)
	holder.Kill()
	w = requireWait(t, waits, 1)
	require.Equal(t, heir, w.Holder.Heir)
	require.NotEmpty(t, w.Holder.Command)
	require.NoError(t, process.Kill())
	require.NoError(t, result(t, done))
	require.Empty(t, waits)
	require.NoError(t, l.Unlock())
}

// looked waits until the queue was looked at some more times.
func looked(t *testing.T) {
	t.Helper()
	const walks = 40
	until := filelock.Walks() + walks
	eventually(t, "looks", func() bool { return filelock.Walks() >= until })
}

// TestOnWaitAsksLittle: a look asks what the holder has open, of which that may be a lot,
// only while the holder may have left the lock to heirs, and once.
func TestOnWaitAsksLittle(t *testing.T) {
	for name, rests := range map[string]bool{"a new ticket": false, "back from rest": true} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			requireRest(t, filepath.Dir(path))
			letGoes, openers, undo := filelock.CountAsked(false)
			defer undo()
			holder := newLock(t, path, filelock.WithLinger(time.Hour))
			holder.OwnLine()
			acquire(t, holder)
			if rests {
				for range 3 {
					require.NoError(t, holder.Unlock())
					acquire(t, holder)
				}
			}
			l, waits := observed(t, path)
			done := start(func() error { return l.Acquire(t.Context()) })
			requireWait(t, waits, 1)
			if rests { // while its last change is not long ago, it may be changing
				eventually(t, "the asking to end", func() bool {
					before := letGoes.Load()
					looked(t)
					return letGoes.Load() == before
				})
				require.NotZero(t, letGoes.Load())
			} else {
				looked(t)
				require.Zero(t, letGoes.Load())
			}
			require.Zero(t, openers.Load())
			require.NoError(t, holder.Unlock())
			require.NoError(t, result(t, done))
			require.NoError(t, l.Unlock())
			require.NoError(t, holder.Close())
		})
	}
}

// TestOnWaitHeir: that the holder bequeaths the lock, and lives on, is told, and whether its
// heir can be seen is found out once.
func TestOnWaitHeir(t *testing.T) {
	for name, hidden := range map[string]bool{"seen": false, "unseen": true} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			requireOneKernel(t, filepath.Dir(path))
			letGoes, openers, undo := filelock.CountAsked(hidden)
			defer undo()
			b := startBequest(t, path, 1)
			l, waits := observed(t, path)
			done := start(func() error { return l.Acquire(t.Context()) })
			w := requireWait(t, waits, 1)
			require.False(t, w.Holder.Inherited)
			require.Zero(t, w.Holder.Heir)
			b.Go()
			b.Expect("bequeathed, held: false")
			eventually(t, "a search", func() bool { return openers.Load() == 1 })
			if !hidden {
				w = requireWait(t, waits, 1)
				require.True(t, w.Holder.Inherited)
				require.Equal(t, b.heirs[0], w.Holder.Heir)
				require.Contains(t, w.String(), fmt.Sprintf("the heir is pid %d", b.heirs[0]))
			}
			before := letGoes.Load()
			looked(t)
			require.Equal(t, before, letGoes.Load())
			require.EqualValues(t, 1, openers.Load())
			require.NoError(t, syscall.Kill(b.heirs[0], syscall.SIGKILL))
			require.NoError(t, result(t, done))
			require.NoError(t, l.Unlock())
			b.Go()
			b.Done()
		})
	}
}

// TestOnWaitTurns: those who have left and rest at the tail, or wait there again, are
// not ahead, wherever their tickets were.
func TestOnWaitTurns(t *testing.T) {
	dir := t.TempDir()
	requireRest(t, dir)
	r := &row{t: t, path: filepath.Join(dir, "target")}
	linger := filelock.WithLinger(time.Hour)
	r.join(linger)
	r.holds(0)
	r.join(linger)
	settled(t, r.path, 2)
	for range 2 { // from here on they come back to their tickets
		r.leaves(0)
		r.holds(1)
		r.again(0)
		settled(t, r.path, 2)
		r.leaves(1)
		r.holds(0)
		r.again(1)
		settled(t, r.path, 2)
	}
	r.leaves(0) // and rests at the tail
	r.holds(1)
	queued(t, dir, 2)
	// With labels of their own they do not come back to a ticket of the others.
	l, waits := observed(t, r.path, linger, filelock.WithLabel("l"))
	l.OwnLine()
	done := start(func() error { return l.Acquire(t.Context()) })
	requireWait(t, waits, 1)
	behind, behindWaits := observed(t, r.path, linger, filelock.WithLabel("behind"))
	behind.OwnLine()
	next := start(func() error { return behind.Acquire(t.Context()) })
	requireWait(t, behindWaits, 2) // the holder and l, not the one between them that rests
	settled(t, r.path, 3)
	require.Len(t, tickets(t, dir), 4)
	r.again(0) // behind us
	settled(t, r.path, 4)
	r.leaves(1)
	require.NoError(t, result(t, done))
	r.again(1) // behind all
	awaitAhead(t, behindWaits, 1)
	require.NoError(t, l.Unlock())
	require.NoError(t, result(t, next))
	require.NoError(t, behind.Unlock())
	for _, holder := range []int{0, 1} {
		r.holds(holder)
		r.leaves(holder)
	}
	require.NoError(t, l.Close())
	requireNoTickets(t, dir)
}

// TestOnWaitCrowd: locks with the option and without it, that wait for goroutines and
// for files, in bubbles and outside.
func TestOnWaitCrowd(t *testing.T) {
	path := target(t)
	inBubbles(t, func(t *testing.T) {
		look := filelock.WithOnWait(func(w filelock.Wait) {
			if w.Ahead < 1 || w.Position != w.Ahead+1 || w.Path == "" {
				t.Errorf("%v", w)
			}
		})
		l := newLock(t, path, look)
		l.OwnLine()
		crowd(t, l, look)
		blind := newLock(t, path)
		crowd(t, blind, look, filelock.WithPollInterval(quickly))
		require.NoError(t, l.Close())
	})
	requireNoTickets(t, filepath.Dir(path))
}

// BenchmarkOnWait1000 shows the processor time that a thousand told waiters of one line take
// in two seconds: behind a goroutine of their own line, and behind another ticket.
func BenchmarkOnWait1000(b *testing.B) {
	const waiters, hold = 1000, 2 * time.Second
	for name, ownLine := range map[string]bool{"line": false, "ticket": true} {
		b.Run(name, func(b *testing.B) {
			path := target(b)
			holder := newLock(b, path)
			if ownLine {
				holder.OwnLine()
			}
			acquire(b, holder)
			var told atomic.Int64
			ctx, cancel := context.WithCancel(context.Background())
			var all sync.WaitGroup
			for range waiters {
				var once sync.Once
				l := newLock(b, path, filelock.WithOnWait(func(filelock.Wait) { once.Do(func() { told.Add(1) }) }))
				all.Go(func() { _ = l.Acquire(ctx) })
			}
			eventually(b, "all to be told", func() bool { return told.Load() == waiters })
			var used time.Duration
			for b.Loop() {
				before := processorTime()
				time.Sleep(hold)
				used += processorTime() - before
			}
			b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/2s")
			cancel()
			all.Wait()
			if err := holder.Unlock(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
