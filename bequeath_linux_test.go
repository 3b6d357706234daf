package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
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
					if lives { // and does nothing itself for those who wait
						require.NoError(t, b.Cmd.Process.Signal(syscall.SIGSTOP))
					} else {
						b.dies(t)
					}
					q, err := filelock.Inspect(path)
					require.NoError(t, err)
					holder, ok := q.Holder()
					require.True(t, ok)
					assert.Equal(t, filelock.Inside, holder.State)
					assert.Contains(t, b.heirs, holder.Heir)
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
// it meanwhile, few, and so many that they wait for bells: never two, nobody waits
// for ever, who has nothing to poll for, and nothing is left.
func TestBequeathStorm(t *testing.T) {
	for _, goroutines := range []int{4, 24} {
		t.Run(strconv.Itoa(goroutines), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "target")
			guard, err := locktest.OpenGuard(filepath.Join(dir, "guard"))
			require.NoError(t, err)
			rounds := 240 / goroutines
			var all []<-chan error
			for g := range goroutines {
				l := newLock(t, path, filelock.WithPollInterval(time.Hour))
				if g%4 != 0 {
					l.OwnLine()
				}
				all = append(all, start(func() error {
					for range rounds {
						if err := holdAsHeir(l, guard); err != nil {
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
		})
	}
}

// holdAsHeir takes the lock, bequeaths it to this very process, and is inside some
// time longer.
func holdAsHeir(l *filelock.FileLock, guard *locktest.Guard) error {
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
	time.Sleep(time.Microsecond)
	guard.Leave()
	return f.Close()
}

func init() {
	locktest.Register("bequeath again and again", bequeathAgainChild)
	locktest.Register("guarded heir", guardedHeirChild)
}

// bequeathAgainChild takes the lock and leaves it to a child of its own, so many
// times. Only the children are ever inside.
func bequeathAgainChild(args []string) error {
	path, file := args[0], args[1]
	rounds, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	l, err := filelock.New(path)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	var heirs []*exec.Cmd
	for range rounds {
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		witness, err := l.Witness()
		if err != nil {
			return err
		}
		heir := exec.Command(exe)
		heir.Env = append(os.Environ(), fmt.Sprintf("%s=[%q,%q]", locktest.ChildEnv, "guarded heir", file))
		heir.ExtraFiles = []*os.File{witness}
		if err := heir.Start(); err != nil {
			return err
		}
		if err := errors.Join(witness.Close(), l.Bequeath()); err != nil {
			return err
		}
		heirs = append(heirs, heir)
	}
	for _, heir := range heirs {
		if err := heir.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func guardedHeirChild(args []string) error {
	guard, err := locktest.OpenGuard(args[0])
	if err != nil {
		return err
	}
	guard.Enter()
	time.Sleep(time.Millisecond)
	guard.Leave()
	return nil
}

// TestBequeathProcesses: the heirs of several processes are inside one after the other.
func TestBequeathProcesses(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		path, file := filepath.Join(dir, "target"), filepath.Join(dir, "guard")
		guard, err := locktest.OpenGuard(file)
		require.NoError(t, err)
		const processes, rounds = 4, 10
		var all []*locktest.Child
		for range processes {
			all = append(all, locktest.Start(t, "bequeath again and again", path, file, rounds))
		}
		for _, c := range all {
			c.Done()
		}
		require.EqualValues(t, processes*rounds, guard.Holds())
		require.Zero(t, guard.Overlaps())
		acquire(t, newLock(t, path))
		require.Len(t, tickets(t, dir), 1, "of the heirs none is left")
	})
}

func init() { worldMains["bequeath"] = worldBequeath }

// worldBequeath leaves the lock to a command, and lives on.
func worldBequeath(w world, args []string) error {
	l, _, err := w.open(args[0], args[1])
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
	heir := exec.Command("/proc/self/exe") // another user may not see the program's path
	heir.Env = append(os.Environ(), locktest.ChildEnv+`=["idle"]`)
	heir.ExtraFiles = []*os.File{witness}
	if err := heir.Start(); err != nil {
		return err
	}
	if err := errors.Join(witness.Close(), l.Bequeath()); err != nil {
		return err
	}
	locktest.Say("bequeathed")
	locktest.Gate()
	if err := heir.Process.Kill(); err != nil {
		return err
	}
	locktest.Say("the heir is killed")
	locktest.Gate()
	return nil
}

// TestBequeathToOtherUsers: a user who may not remove the ticket, or see its locks,
// does not enter beside the heir, and enters within seconds after it: the one who
// bequeathed the lock removes the ticket.
func TestBequeathToOtherUsers(t *testing.T) {
	for name, tt := range map[string]struct {
		mode  uint32
		owner world
	}{
		"sticky directory": {sticky, world{UID: alice}},
		"hidden ticket":    {0o777, world{UID: alice, Mode: 0o600}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rivals := world{UID: bob}
			requireWorld(t, tt.owner, rivals)
			dir := shared(t, tt.mode)
			path := filepath.Join(dir, "target")
			_, file := watched(t)
			owner := inWorld(t, tt.owner, "bequeath", path, file)
			owner.Expect("bequeathed")
			rival := inWorld(t, rivals, "visit", path, file)
			queued(t, dir, 2)
			require.True(t, rival.Silent(liveness.Grace+300*time.Millisecond), "it entered beside the heir")
			owner.Go()
			owner.Expect("the heir is killed")
			began := time.Now()
			rival.Expect("held")
			t.Logf("entered %v after the heir was killed", time.Since(began))
			rival.Go()
			rival.Expect("released")
		})
	}
}
