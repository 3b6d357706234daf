package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("uses", usesChild)
	locktest.Register("many at rest", manyAtRestChild)
	locktest.Register("returns", returnsChild)
	worldMains["hot"] = worldHot
	worldMains["waits"] = worldWaits
	worldMains["unmounts"] = worldUnmounts
}

// use takes l and gives it back, so many times.
func use(l *filelock.FileLock, times int) error {
	for range times {
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		if err := l.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

// usesChild uses a lock so many times, then once more whenever it is told to, and
// ends without giving up what rests.
func usesChild(args []string) error {
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var opts []filelock.Option
	if len(args) > 2 {
		linger, err := time.ParseDuration(args[2])
		if err != nil {
			return err
		}
		opts = append(opts, filelock.WithLinger(linger))
	}
	l, err := filelock.New(args[0], opts...)
	if err != nil {
		return err
	}
	if err := use(l, times); err != nil {
		return err
	}
	if len(opts) == 0 {
		os.Exit(0)
	}
	for {
		locktest.Say("rests")
		locktest.Gate()
		if err := use(l, 1); err != nil {
			return err
		}
	}
}

// TestUsedOnceLeavesNothing, not even for the linger time.
func TestUsedOnceLeavesNothing(t *testing.T) {
	rounds := 20
	if *soak > 0 {
		rounds = 1000
	}
	path := target(t)
	for range rounds {
		locktest.Start(t, "uses", path, 1).Done()
		require.Empty(t, tickets(t, filepath.Dir(path)))
	}
	t.Logf("%d of %d processes that used a lock once left nothing", rounds, rounds)
}

// atRest returns a lock whose ticket rests for an hour, and its directory.
func atRest(t *testing.T, opts ...filelock.Option) (l *filelock.FileLock, dir string) {
	t.Helper()
	path := target(t)
	dir = filepath.Dir(path)
	requireRest(t, dir)
	l = newLock(t, path, append([]filelock.Option{filelock.WithLinger(time.Hour)}, opts...)...)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	require.NoError(t, use(l, 1))
	require.Empty(t, tickets(t, dir), "one use leaves nothing")
	require.NoError(t, use(l, 1))
	require.Len(t, tickets(t, dir), 1)
	return l, dir
}

// comesBack is atRest, in a directory whose times tell whether anybody came.
func comesBack(t *testing.T, path string) *filelock.FileLock {
	t.Helper()
	calls := countCalls(t)
	l := newLock(t, path, filelock.WithLinger(time.Hour))
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	eventually(t, "the directory's times to settle", func() bool {
		require.NoError(t, use(l, 1))
		return calls.all()["Reenter"] > 0
	})
	return l
}

// TestLeftAtRest: what a process leaves that ends while its ticket rests is one
// file, which the next one removes at sight, and no reason for a warning.
func TestLeftAtRest(t *testing.T) {
	rounds := 10
	if *soak > 0 {
		rounds = 200
	}
	for name, end := range map[string]func(t *testing.T, path string){
		"exited": func(t *testing.T, path string) { locktest.Start(t, "uses", path, 3).Done() },
		"killed": func(t *testing.T, path string) {
			c := locktest.Start(t, "uses", path, 3, time.Hour)
			c.Expect("rests")
			c.Kill()
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := target(t)
			dir := filepath.Dir(path)
			requireRest(t, dir)
			core, logs := observer.New(zap.DebugLevel)
			l := newLock(t, path, filelock.WithLinger(0), filelock.WithLogger(zap.New(core)))
			took := make([]time.Duration, rounds)
			for i := range took {
				end(t, path)
				require.Len(t, tickets(t, dir), 1)
				began := time.Now()
				require.NoError(t, l.TryLock())
				took[i] = time.Since(began)
				require.Len(t, tickets(t, dir), 1, "its own")
				require.NoError(t, l.Unlock())
			}
			require.Equal(t, rounds, logs.FilterMessage("reclaim").Len())
			for _, e := range logs.All() {
				require.Equal(t, zap.DebugLevel, e.Level, e.Message)
			}
			t.Logf("%d rounds: the next one had the lock after %v, %v at worst", rounds, median(took), slices.Max(took))
			require.Less(t, slices.Max(took), lateness)
		})
	}
}

// TestRestIsInNobodysWay: a ticket that rests is shown as such, a try is not
// refused for it, and its owner starts anew.
func TestRestIsInNobodysWay(t *testing.T) {
	t.Parallel()
	path := target(t)
	requireRest(t, filepath.Dir(path))
	owner := locktest.Start(t, "uses", path, 2, time.Hour)
	owner.Expect("rests")
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	require.Len(t, q.Tickets, 1)
	require.Equal(t, filelock.Resting, q.Tickets[0].State)
	require.Contains(t, q.Tickets[0].String(), "(resting: nobody holds the lock; ")

	reaped, err := filelock.Reap(path)
	require.NoError(t, err)
	require.Empty(t, reaped, "its owner lives")

	l := newLock(t, path, filelock.WithLinger(0))
	for range 3 {
		require.NoError(t, l.TryLock())
		require.NoError(t, l.Unlock())
		requireNoTickets(t, filepath.Dir(path))
		// Whose ticket was removed does without for some uses.
		eventually(t, "the next rest", func() bool {
			owner.Go()
			owner.Expect("rests")
			return len(tickets(t, filepath.Dir(path))) == 1
		})
	}

	owner.Kill()
	q, err = filelock.Inspect(path)
	require.NoError(t, err)
	require.Equal(t, filelock.Dead, q.Tickets[0].State, "there is nobody to come back")
	reaped, err = filelock.Reap(path)
	require.NoError(t, err)
	require.Len(t, reaped, 1)
	requireNoTickets(t, filepath.Dir(path))
}

// worldHot uses a lock without pause, and says when it has come to rest.
func worldHot(w world, args []string) error {
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < settling; {
		if err := use(l, 100); err != nil {
			return err
		}
	}
	locktest.Say("hot")
	for {
		if err := use(l, 1); err != nil {
			return err
		}
	}
}

// worldWaits takes a lock so many times, with a pause before each, and says how
// long it waited.
func worldWaits(w world, args []string) error {
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for range times {
		// Until the other one has long been alone again.
		time.Sleep(settling)
		began := time.Now()
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		took := time.Since(began)
		if err := l.Unlock(); err != nil {
			return err
		}
		locktest.Say("%d", took)
	}
	return nil
}

// TestWaiterOfHotLock: who comes while another one uses a lock again and again is
// the next one to have it, also if it may not open or remove the other one's ticket.
func TestWaiterOfHotLock(t *testing.T) {
	const alice, bob = 65533, 65534
	times := 20
	if *soak > 0 {
		times = 1000
	}
	for _, tt := range []struct {
		name     string
		hot, one world
		mode     uint32
	}{
		{name: "of one user", mode: 0o755},
		{name: "of another user, closed to us", mode: 0o777, hot: world{UID: alice, Mode: 0o600}, one: world{UID: bob, Mode: 0o600}},
		{name: "of another user, in a sticky directory", mode: 0o777 | syscall.S_ISVTX, hot: world{UID: alice}, one: world{UID: bob}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requireWorld(t, tt.hot)
			dir := shared(t, tt.mode)
			requireRest(t, dir)
			path := filepath.Join(dir, "target")
			hot := inWorld(t, tt.hot, "hot", path)
			hot.Expect("hot")
			one := inWorld(t, tt.one, "waits", path, times)
			took := make([]time.Duration, times)
			for i := range took {
				_, err := fmt.Sscan(one.Line(), (*int64)(&took[i]))
				require.NoError(t, err)
			}
			one.Done()
			slices.Sort(took)
			t.Logf("%d times: it waited for %v, %v at the 99 %% quantile, %v at worst", times, took[times/2], took[times*99/100], took[times-1])
			// One whose wake-up was lost waits for a second.
			require.Less(t, took[times*9/10], lateness)
			hot.Kill()
		})
	}
}

// TestRestEnds after the linger time, and never begins without one.
func TestRestEnds(t *testing.T) {
	path := target(t)
	dir := filepath.Dir(path)
	requireRest(t, dir)
	const linger = 300 * time.Millisecond
	l := newLock(t, path, filelock.WithLinger(linger))
	require.NoError(t, use(l, 2))
	began := time.Now()
	require.Len(t, tickets(t, dir), 1)
	eventually(t, "the end of the rest", func() bool { return len(tickets(t, dir)) == 0 })
	took := time.Since(began)
	t.Logf("a ticket rested for %v; the linger time is %v", took.Round(time.Millisecond), linger)
	require.Greater(t, took, linger/2-settling)
	require.Less(t, took, linger+lateness)

	never := newLock(t, path, filelock.WithLinger(0))
	for range 5 {
		require.NoError(t, use(never, 1))
		require.Empty(t, tickets(t, dir))
	}
}

// TestSlowUseNeverRests: who comes back after the linger time comes first each
// time.
func TestSlowUseNeverRests(t *testing.T) {
	l := newLock(t, target(t), filelock.WithLinger(time.Microsecond))
	for range 3 {
		time.Sleep(time.Millisecond) // longer than the linger time
		require.NoError(t, use(l, 1))
		require.Empty(t, tickets(t, filepath.Dir(l.Path())))
	}
}

// TestClose gives up what rests and nothing else.
func TestClose(t *testing.T) {
	l, dir := atRest(t)
	require.NoError(t, l.Close())
	require.Empty(t, tickets(t, dir))
	require.NoError(t, l.Close(), "again")

	acquire(t, l)
	require.NoError(t, l.Close())
	require.True(t, l.Held())
	require.ErrorIs(t, newLock(t, l.Path()).TryLock(), filelock.ErrLocked)
	require.NoError(t, l.Unlock())
	require.Empty(t, tickets(t, dir), "after Close it comes first again")
	require.NoError(t, use(l, 1))
	require.Len(t, tickets(t, dir), 1, "and then rests as before")
}

// worldUnmounts unmounts the filesystem of its lock as soon as that is closed.
func worldUnmounts(w world, args []string) error {
	dir := args[0]
	l, err := filelock.New(filepath.Join(dir, "target"), filelock.WithLinger(time.Hour))
	if err != nil {
		return err
	}
	for range 3 {
		if err := use(l, 3); err != nil {
			return err
		}
		if err := unix.Unmount(dir, 0); err != unix.EBUSY {
			return fmt.Errorf("it is not in use: %v", err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return unix.Unmount(dir, 0)
}

// TestUnmountAfterClose: Close leaves nothing open in the lock's directory.
func TestUnmountAfterClose(t *testing.T) {
	dir := t.TempDir()
	w := world{Mounts: []mounted{{Type: "tmpfs", Source: "filelock", Dir: dir}}}
	requireWorld(t, w)
	inWorld(t, w, "unmounts", dir).Done()
}

// TestWitnessEndsRest: a ticket that somebody else has open, too, never rests.
func TestWitnessEndsRest(t *testing.T) {
	l, dir := atRest(t)
	acquire(t, l)
	f, err := l.Witness()
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, l.Unlock())
	require.Empty(t, tickets(t, dir))
	_, err = l.Witness()
	require.ErrorIs(t, err, filelock.ErrNotLocked)
}

// TestDeletedWhileHeldAtRest: a ticket that rested and is held again is as good as
// any: who deletes it takes the lock away, and the holder learns of that.
func TestDeletedWhileHeldAtRest(t *testing.T) {
	l, dir := atRest(t)
	for range 3 {
		acquire(t, l)
		names := tickets(t, dir)
		require.Len(t, names, 1)
		require.NoError(t, os.Remove(filepath.Join(dir, names[0])))
		require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
		require.NoError(t, use(l, 1))
	}

	// The directory's times tell by now that nothing has changed.
	time.Sleep(settling)
	require.NoError(t, use(l, 1))
	acquire(t, l)
	require.NoError(t, os.Remove(filepath.Join(dir, tickets(t, dir)[0])))
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
}

// TestRestsBesideOthers: what else happens in the directory is no reason to make
// another ticket.
func TestRestsBesideOthers(t *testing.T) {
	l, dir := atRest(t)
	want := tickets(t, dir)
	other := filepath.Join(dir, "unrelated")
	for range 5 {
		acquire(t, l)
		require.NoError(t, touch(other))
		require.NoError(t, l.Unlock())
		require.NoError(t, os.Remove(other))
		require.NoError(t, use(l, 1))
		require.Equal(t, want, tickets(t, dir))
	}
}

// TestRestIsOver: a place that was given up is not come back to.
func TestRestIsOver(t *testing.T) {
	l, dir := atRest(t)
	before := tickets(t, dir)
	filelock.GiveUpRests()
	require.Empty(t, tickets(t, dir))
	require.NoError(t, use(l, 2))
	after := tickets(t, dir)
	require.Len(t, after, 1)
	require.NotEqual(t, before, after)
}

// TestReplacedWhileResting: it is no use to come back to a directory that the path
// does not lead to any more, since newcomers queue elsewhere.
func TestReplacedWhileResting(t *testing.T) {
	for _, linger := range []time.Duration{0, filelock.DefaultLinger, time.Hour} {
		t.Run(linger.String(), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			require.NoError(t, os.Mkdir(dir, 0o777))
			path := filepath.Join(dir, "target")
			l := newLock(t, path, filelock.WithLinger(linger))
			t.Cleanup(func() { require.NoError(t, l.Close()) })
			require.NoError(t, use(l, 3))
			require.NoError(t, os.Rename(dir, dir+".old"))
			require.NoError(t, os.Mkdir(dir, 0o777))
			require.NoError(t, l.TryLock())
			require.Len(t, tickets(t, dir), 1)
			require.Empty(t, tickets(t, dir+".old"))
			other := newLock(t, path, filelock.WithLease(time.Hour)) // as another process
			require.ErrorIs(t, other.TryLock(), filelock.ErrLocked)
			require.NoError(t, l.Unlock())
		})
	}
}

// TestReplacedFurtherUp: a directory that is not itself renamed does not change with the
// path that leads to it. That is noticed, too, if not at once.
func TestReplacedFurtherUp(t *testing.T) {
	up := filepath.Join(t.TempDir(), "up")
	path := filepath.Join(up, "dir", "target")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	requireRest(t, filepath.Dir(path))
	l := comesBack(t, path)
	require.NoError(t, os.Rename(up, up+".old"))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, use(l, 100))
	require.NoError(t, l.TryLock())
	require.Len(t, tickets(t, filepath.Dir(path)), 1)
	other := newLock(t, path, filelock.WithLease(time.Hour)) // as another process
	require.ErrorIs(t, other.TryLock(), filelock.ErrLocked)
	require.NoError(t, l.Unlock())
}

// TestMovedWhileResting: a ticket whose number somebody has changed is of no use any more.
func TestMovedWhileResting(t *testing.T) {
	path := target(t)
	dir := filepath.Dir(path)
	requireRest(t, dir)
	l := comesBack(t, path)
	before := tickets(t, dir)
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, before[0]), time.Unix(0, 0), later))
	require.NoError(t, use(l, 1))
	require.NotEqual(t, before, tickets(t, dir))
}

// TestNeverAtRest where others could not see that a ticket rests, or not remove it.
func TestNeverAtRest(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode uint32
		opts []filelock.Option
	}{
		{"a sticky directory", 0o777 | syscall.S_ISVTX, nil},
		{"tickets that others cannot open", 0o755, []filelock.Option{filelock.WithFileMode(0o600)}},
		{"tickets that few can open", 0o755, []filelock.Option{filelock.WithFileMode(0o640)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, syscall.Chmod(dir, tt.mode))
			l := newLock(t, filepath.Join(dir, "target"), append(tt.opts, filelock.WithLinger(time.Hour))...)
			for range 5 {
				require.NoError(t, use(l, 1))
				require.Empty(t, tickets(t, dir))
			}
		})
	}
}

// TestLeftAtRestElsewhere: what a process of another pid namespace has left is
// removed by who comes next, and by Reap.
func TestLeftAtRestElsewhere(t *testing.T) {
	t.Parallel()
	w := world{PIDs: true}
	requireWorld(t, w)
	dir := t.TempDir()
	requireRest(t, dir)
	path := filepath.Join(dir, "target")
	for name, next := range map[string]func(){
		"acquired": func() {
			l := newLock(t, path, filelock.WithLinger(0))
			require.NoError(t, l.TryLock())
			require.NoError(t, l.Unlock())
		},
		"reaped": func() {
			gone, err := filelock.Reap(path)
			require.NoError(t, err)
			require.Len(t, gone, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := inWorld(t, w, "hot", path)
			c.Expect("hot")
			c.Kill()
			require.Len(t, tickets(t, dir), 1)
			next()
			require.Empty(t, tickets(t, dir))
		})
	}
}

// TestMarkedAgain: a ticket whose mark was read away gets it back with the next use.
func TestMarkedAgain(t *testing.T) {
	l, dir := atRest(t)
	file := filepath.Join(dir, tickets(t, dir)[0])
	require.True(t, isMarked(file))
	_, err := os.ReadFile(file)
	require.NoError(t, err)
	if isMarked(file) {
		t.Skip("reading changes no times here")
	}
	require.NoError(t, use(l, 1))
	require.FileExists(t, file)
	require.True(t, isMarked(file))
}

// TestWitnessBesideUses: whoever asks for the witness while the lock is given back
// and taken again gets that of a hold, or none; the race detector would tell.
func TestWitnessBesideUses(t *testing.T) {
	l, dir := atRest(t)
	other := newLock(t, l.Path(), filelock.WithLease(time.Hour)) // a line of its own
	stop := make(chan bool)
	asked := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				asked <- nil
				return
			default:
			}
			f, err := l.Witness()
			switch {
			case err == nil:
				f.Close()
			case !errors.Is(err, filelock.ErrNotLocked) && !errors.Is(err, os.ErrClosed):
				asked <- err
				return
			}
		}
	}()
	for range 200 {
		require.NoError(t, use(l, 3))
		require.NoError(t, use(other, 1))
	}
	close(stop)
	require.NoError(t, <-asked)
	require.NoError(t, l.Close())
	requireNoTickets(t, dir)
}

// TestReaderOfRest: whoever reads a ticket at rest takes its mark away, on most
// mounts. Then it keeps others waiting until the rest is over, and no longer.
func TestReaderOfRest(t *testing.T) {
	path := target(t)
	dir := filepath.Dir(path)
	requireRest(t, dir)
	const linger = 500 * time.Millisecond
	owner := locktest.Start(t, "uses", path, 2, linger)
	owner.Expect("rests")
	file := filepath.Join(dir, tickets(t, dir)[0])
	require.True(t, isMarked(file))
	_, err := os.ReadFile(file)
	require.NoError(t, err)
	if isMarked(file) {
		t.Skip("reading changes no times here")
	}
	began := time.Now()
	l := newLock(t, path)
	require.NoError(t, l.Acquire(context.Background()))
	t.Logf("it was let in %v later; the linger time is %v", time.Since(began).Round(time.Millisecond), linger)
	require.Less(t, time.Since(began), linger+lateness)
	require.NoError(t, l.Unlock())
	owner.Go()
	owner.Expect("rests")
}

// TestWitnessOfWhatIsGivenBack: whoever asks while the lock is given back gets
// nothing, and nothing stays open.
func TestWitnessOfWhatIsGivenBack(t *testing.T) {
	var l *filelock.FileLock
	t.Cleanup(filelock.AtSteps(func(step, _ string) {
		if step == "after Witness" {
			require.NoError(t, l.Unlock())
		}
	}))
	l = newLock(t, target(t), filelock.WithLinger(0))
	acquire(t, l)
	before, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	f, err := l.Witness()
	require.Nil(t, f)
	require.ErrorIs(t, err, filelock.ErrNotLocked)
	after, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	require.Len(t, after, len(before)-2, "the ticket was closed, and the directory, which was used once")
}

// returnsChild holds a lock, which it has used before, and gets in line for it again
// as soon as it has given it back.
func returnsChild(args []string) error {
	l, err := filelock.New(args[0], filelock.WithLinger(time.Hour), filelock.WithPollInterval(time.Hour))
	if err != nil {
		return err
	}
	if err := use(l, 1); err != nil {
		return err
	}
	locktest.Say("ready")
	for {
		locktest.Gate()
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		locktest.Say("held")
		locktest.Gate()
		if err := l.Unlock(); err != nil {
			return err
		}
	}
}

// TestReturnsUnseen: who waits without the kernel's word notices that those ahead have
// left also if their tickets stay, at the tail.
func TestReturnsUnseen(t *testing.T) {
	path := target(t)
	requireRest(t, filepath.Dir(path))
	a, b := locktest.Start(t, "returns", path), locktest.Start(t, "returns", path)
	blind := locktest.StartBlind(t, "returns", path)
	for _, c := range []*locktest.Child{a, b, blind} {
		c.Expect("ready")
	}
	a.Go()
	a.Expect("held")
	b.Go()
	settled(t, path, 2)
	blind.Go()
	settled(t, path, 3)
	a.Go()
	b.Expect("held")
	a.Go() // once more
	settled(t, path, 3)
	time.Sleep(5 * mustBlock) // until it looks at long intervals
	began := time.Now()
	b.Go()
	b.Go()
	blind.Expect("held")
	t.Logf("it was let in %v later", time.Since(began).Round(time.Microsecond))
	require.Less(t, time.Since(began), lateness)
}

// manyAtRestChild has the tickets of many locks at rest, takes the last
// descriptors, and then another lock in another directory.
func manyAtRestChild(args []string) error {
	const many = 20
	for i := range many {
		l, err := filelock.New(filepath.Join(args[0], fmt.Sprint(i)), filelock.WithLinger(time.Hour))
		if err != nil {
			return err
		}
		if err := use(l, 2); err != nil {
			return err
		}
	}
	resting, err := os.ReadDir(args[0])
	if err != nil {
		return err
	}
	l, err := filelock.New(filepath.Join(args[1], "target"))
	if err != nil {
		return err
	}
	release := exhaust(0)
	err = l.Acquire(context.Background())
	release()
	left, err1 := os.ReadDir(args[0])
	locktest.Say("%d, then %d: %v %v", len(resting), len(left), err, err1)
	return nil
}

// TestRestIsGivenUpForDescriptors: what rests is no reason to run out of them.
func TestRestIsGivenUpForDescriptors(t *testing.T) {
	dir := t.TempDir()
	requireRest(t, dir)
	c := locktest.Start(t, "many at rest", dir, t.TempDir())
	c.Expect("20, then 0: <nil> <nil>")
	c.Done()
}
