package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("will", willChild)
	locktest.Register("testator", testatorChild)
	locktest.Register("heir", heirChild)
}

// willChild holds the lock, starts heirs, each the parent of the next, and
// bequeaths. It says the pids of the heirs, and stays until it is told to end.
func willChild(args []string) error {
	heirs, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	witness, err := l.Witness()
	if err != nil {
		return err
	}
	if heirs > 0 {
		if err := startHeir(witness, heirs); err != nil {
			return err
		}
	}
	if err := witness.Close(); err != nil {
		return err
	}
	locktest.Say("heirs")
	locktest.Gate()
	if err := l.Bequeath(); err != nil {
		return err
	}
	locktest.Say("bequeathed, held: %t", l.Held())
	locktest.Gate()
	return nil
}

// startHeir starts an heir with the file as descriptor 3.
func startHeir(witness *os.File, heirs int) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(path)
	command.Env = append(os.Environ(), fmt.Sprintf("%s=[%q,\"%d\"]", locktest.ChildEnv, "heir", heirs))
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{witness}
	ready, says, err := os.Pipe() // the heir has its own when this ends
	if err != nil {
		return err
	}
	command.ExtraFiles = append(command.ExtraFiles, says)
	if err := command.Start(); err != nil {
		return err
	}
	says.Close()
	_, _ = ready.Read(make([]byte, 1))
	return ready.Close()
}

// heirChild knows nothing of locks. It has the file as descriptor 3.
func heirChild(args []string) error {
	heirs, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if heirs > 1 {
		if err := startHeir(os.NewFile(3, "witness"), heirs-1); err != nil {
			return err
		}
	}
	locktest.Say("%d", os.Getpid())
	os.NewFile(4, "ready").Close()
	time.Sleep(2 * locktest.Stuck)
	return nil
}

// bequest is a child that is about to bequeath the lock to its heirs.
type bequest struct {
	*locktest.Child
	heirs []int // the last of the descendants first
}

func startBequest(t *testing.T, path string, heirs int) bequest {
	t.Helper()
	b := bequest{Child: locktest.Start(t, "will", path, heirs)}
	for range heirs {
		pid, err := strconv.Atoi(b.Line())
		require.NoError(t, err)
		b.heirs = append(b.heirs, pid)
		t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	}
	b.Expect("heirs")
	return b
}

// dies kills the one who bequeaths. The heirs have its output, and so it has no end.
func (b bequest) dies(t *testing.T) {
	t.Helper()
	require.NoError(t, b.Cmd.Process.Kill())
	_, err := b.Cmd.Process.Wait()
	require.NoError(t, err)
}

// testatorChild has another die when it calls Bequeath: before or after.
func testatorChild(args []string) error {
	filelock.AtSteps(func(step, _ string) {
		if step == args[2] {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	})
	return willChild(args)
}

// enters starts one who waits, and fails unless it does.
func enters(t *testing.T, path string) <-chan error {
	t.Helper()
	waiter := newLock(t, path, filelock.WithPollInterval(time.Hour))
	entered := start(func() error { return waiter.Acquire(context.Background()) })
	eventually(t, "queueing", func() bool { return len(tickets(t, filepath.Dir(path))) == 2 })
	requireBlocks(t, entered)
	return entered
}

// soon is how long one may take to enter who was told. A proof by time takes a
// second, and a poll an hour.
const soon = 500 * time.Millisecond

// TestBequeath: the lock stays with the heirs, whether the one who bequeathed it
// ends or lives on, until the last of them has ended; then the next one enters
// at once. It has nothing to poll for.
func TestBequeath(t *testing.T) {
	for _, heirs := range []int{1, 2, 3} {
		for _, lives := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d heirs, bequeather lives %t", heirs, lives), func(t *testing.T) {
				onEach(t, func(t *testing.T, dir string) {
					path := filepath.Join(dir, "target")
					b := startBequest(t, path, heirs)
					entered := enters(t, path)
					b.Go()
					b.Expect("bequeathed, held: false")
					if !lives {
						b.dies(t)
					}
					q, err := filelock.Inspect(path)
					require.NoError(t, err)
					holder, ok := q.Holder()
					require.True(t, ok)
					assert.Equal(t, filelock.Inside, holder.State)
					for i, pid := range b.heirs {
						requireBlocks(t, entered)
						require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
						if i < len(b.heirs)-1 {
							requireBlocks(t, entered)
						}
					}
					began := time.Now()
					require.NoError(t, result(t, entered))
					took := time.Since(began)
					require.Less(t, took, soon)
					t.Logf("entered %v after the last heir was killed", took)
				})
			})
		}
	}
}

// TestBequeathToNobody: if the heir has ended, or the witness was closed again, or
// nobody ever asked for it, the lock is given back at once.
func TestBequeathToNobody(t *testing.T) {
	t.Run("the heir has ended", func(t *testing.T) {
		path := target(t)
		b := startBequest(t, path, 1)
		entered := enters(t, path)
		require.NoError(t, syscall.Kill(b.heirs[0], syscall.SIGKILL))
		requireBlocks(t, entered)
		b.Go()
		b.Expect("bequeathed, held: false")
		began := time.Now()
		require.NoError(t, result(t, entered))
		require.Less(t, time.Since(began), soon)
	})
	for name, asks := range map[string]bool{"never asked": false, "closed": true} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			l := newLock(t, path)
			for range 3 { // the third time, a ticket might rest
				acquire(t, l)
				if asks {
					f, err := l.Witness()
					require.NoError(t, err)
					require.NoError(t, f.Close())
				}
				require.NoError(t, l.Bequeath())
				require.False(t, l.Held())
				require.ErrorIs(t, l.Bequeath(), filelock.ErrNotLocked)
				require.ErrorIs(t, l.Unlock(), filelock.ErrNotLocked)
				if asks {
					require.Empty(t, tickets(t, filepath.Dir(path)))
				}
			}
			requireNoTickets(t, filepath.Dir(path))
		})
	}
}

// TestBequeathTidies: with nobody there to remove the ticket, its owner does once
// the heir has ended.
func TestBequeathTidies(t *testing.T) {
	for name, mode := range map[string]os.FileMode{"": 0o644, "hidden": 0o600} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			l := newLock(t, path, filelock.WithFileMode(mode))
			acquire(t, l)
			f, err := l.Witness()
			require.NoError(t, err)
			require.NoError(t, l.Bequeath())
			require.ErrorIs(t, l.TryLock(), filelock.ErrLocked, "this process is its own heir")
			require.Len(t, tickets(t, filepath.Dir(path)), 1)
			require.NoError(t, f.Close())
			queued(t, filepath.Dir(path), 0)
		})
	}
}

// TestBequeathDies: the one who bequeaths dies before it, or as soon as it has.
// The lock is the heir's all the time, and free when that ends.
func TestBequeathDies(t *testing.T) {
	for _, step := range []string{"before Bequeath", "after Bequeath"} {
		t.Run(step, func(t *testing.T) {
			path := target(t)
			c := locktest.Start(t, "testator", path, 1, step)
			heir, err := strconv.Atoi(c.Line())
			require.NoError(t, err)
			t.Cleanup(func() { syscall.Kill(heir, syscall.SIGKILL) })
			c.Expect("heirs")
			entered := enters(t, path)
			c.Go()
			_, err = c.Cmd.Process.Wait()
			require.NoError(t, err)
			requireBlocks(t, entered)
			require.NoError(t, syscall.Kill(heir, syscall.SIGKILL))
			began := time.Now()
			require.NoError(t, result(t, entered))
			require.Less(t, time.Since(began), soon)
		})
	}
}

// TestBequeathRace: the heir ends while the lock is bequeathed to it. Whichever is
// first, the next one enters, and at once.
func TestBequeathRace(t *testing.T) {
	path := target(t)
	for range 20 {
		b := startBequest(t, path, 1)
		entered := make(chan error, 1)
		waiter := newLock(t, path, filelock.WithPollInterval(time.Hour))
		go func() { entered <- waiter.Acquire(context.Background()) }()
		queued(t, filepath.Dir(path), 2)
		b.Go()
		require.NoError(t, syscall.Kill(b.heirs[0], syscall.SIGKILL))
		began := time.Now()
		require.NoError(t, result(t, entered))
		require.Less(t, time.Since(began), soon)
		b.Expect("bequeathed, held: false")
		b.Go()
		b.Done()
		require.NoError(t, waiter.Unlock())
	}
	requireNoTickets(t, filepath.Dir(path))
}

// TestBequeathLine: goroutines of this process that wait behind the one who
// bequeaths get a place of their own, behind the heir.
func TestBequeathLine(t *testing.T) {
	path := target(t)
	l := newLock(t, path, filelock.WithBatch(time.Hour))
	acquire(t, l)
	f, err := l.Witness()
	require.NoError(t, err)
	const behind = 3
	var entered []<-chan error
	for n := range behind {
		entered = append(entered, start(func() error { return l.Do(context.Background(), func(context.Context) error { return nil }) }))
		eventually(t, "getting in line", func() bool { return l.Waiting() == n+1 })
	}
	require.NoError(t, l.Bequeath())
	for _, c := range entered {
		requireBlocks(t, c)
	}
	require.Len(t, tickets(t, filepath.Dir(path)), 2, "the heir's, and one for those who wait")
	require.NoError(t, f.Close())
	for _, c := range entered {
		require.NoError(t, result(t, c))
	}
	requireNoTickets(t, filepath.Dir(path))
}

// TestBequeathRefused: what cannot be left to anybody is still held.
func TestBequeathRefused(t *testing.T) {
	for name, opt := range map[string]filelock.Option{
		"lease":       filelock.WithLease(time.Minute),
		"plain peers": filelock.WithPlainPeers(),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLock(t, target(t), opt)
			acquire(t, l)
			err := l.Bequeath()
			require.ErrorIs(t, err, errors.ErrUnsupported)
			var e *filelock.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "bequeath", e.Op)
			require.True(t, l.Held())
			require.NoError(t, l.Unlock())
		})
	}
	t.Run("reentrant", func(t *testing.T) {
		path := target(t)
		l, m := newLock(t, path, filelock.WithReentrant()), newLock(t, path, filelock.WithReentrant())
		ctx := filelock.ContextWithOwner(context.Background())
		require.NoError(t, l.Acquire(ctx))
		require.NoError(t, m.Acquire(ctx))
		err := l.Bequeath()
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, "holds it 2 times")
		require.True(t, l.Held())
		require.NoError(t, m.Unlock())
		f, err := l.Witness()
		require.NoError(t, err)
		require.NoError(t, l.Bequeath())
		require.False(t, l.Held())
		require.ErrorIs(t, m.TryAcquire(ctx), filelock.ErrLocked, "the owner does not hold it any more")
		require.NoError(t, f.Close())
		require.NoError(t, m.Acquire(ctx))
		require.NoError(t, m.Unlock())
	})
	t.Run("none", func(t *testing.T) {
		require.ErrorIs(t, newLock(t, target(t)).Bequeath(), filelock.ErrNotLocked)
	})
}

// TestBequeathLost: if somebody has removed the ticket, the one who bequeaths is told.
func TestBequeathLost(t *testing.T) {
	path := target(t)
	l := newLock(t, path)
	acquire(t, l)
	f, err := l.Witness()
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, os.Remove(f.Name()))
	require.ErrorIs(t, l.Bequeath(), filelock.ErrLost)
	require.False(t, l.Held())
}

// TestBequeathStorm: heirs that hold the lock for moments, and others that acquire
// it meanwhile: never two, and nothing is left.
func TestBequeathStorm(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target")
	guard, err := locktest.OpenGuard(filepath.Join(dir, "guard"))
	require.NoError(t, err)
	const goroutines, rounds = 4, 50
	var all []<-chan error
	for g := range goroutines {
		all = append(all, start(func() error {
			l, err := filelock.New(path)
			if err != nil {
				return err
			}
			if g%2 == 0 {
				l.OwnLine()
			}
			for range rounds {
				if err := l.Acquire(context.Background()); err != nil {
					return err
				}
				guard.Enter()
				f, err := l.Witness()
				if err != nil {
					return err
				}
				if err := l.Bequeath(); err != nil {
					return err
				}
				if guard.Leave(); g%2 == 0 {
					time.Sleep(time.Millisecond)
				}
				if err := f.Close(); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for _, c := range all {
		require.NoError(t, result(t, c))
	}
	require.Zero(t, guard.Overlaps())
	require.EqualValues(t, goroutines*rounds, guard.Holds())
	queued(t, dir, 0)
	require.True(t, slices.Equal(tickets(t, dir), nil))
}
