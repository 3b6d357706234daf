package wake

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/locktest"
)

// never is an interval that no test lives to see: only an event ends a wait.
const never = time.Hour

// quiet is long enough to say that no event came: one takes microseconds.
const quiet = 30 * time.Millisecond

// TestRelaxed: where the kernel reports everything, polling is but a safety
// net, and grows rarer, up to a bound.
func TestRelaxed(t *testing.T) {
	const interval = 100 * time.Millisecond
	w := &Waiter{interval: interval, complete: true, watch: &watch{}}
	w.reset()
	for i := range 7 {
		within(t, interval*time.Duration(min(relaxed<<i, rare)), w.pause(false))
	}
	// Haste has its own pace, and ends at the plain interval.
	within(t, first, w.pause(true))
	for w.hasty < interval {
		w.pause(true)
	}
	within(t, interval, w.pause(true))
	within(t, rare*interval, w.pause(false))

	// Without a watch there is nothing to rely on.
	w.watch = nil
	within(t, interval, w.pause(false))
}

// TestRelaxedUntilEvent: after an event all begins anew.
func TestRelaxedUntilEvent(t *testing.T) {
	path := touch(t, t.TempDir())
	w := New(path, never, true)
	defer w.Stop()
	within(t, unhurried, w.pause(true))
	w.pause(false)
	require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(1, 0)))
	mustFire(t, w)
	armed(t, w)
	// An event may be the first sign of more to come: haste, wanted or not.
	within(t, first, w.pause(true))
	within(t, 2*first, w.pause(false))
	for w.hasty < never {
		w.pause(false)
	}
	within(t, relaxed*never, w.pause(false))
	within(t, 2*relaxed*never, w.pause(false))
}

// TestNotRelaxed: other kernels' changes are seen by looking only.
func TestNotRelaxed(t *testing.T) {
	w := &Waiter{interval: time.Second, watch: &watch{}}
	w.reset()
	for range 10 {
		within(t, time.Second, w.pause(false))
	}
}

func touch(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ticket")
	require.NoError(t, os.WriteFile(path, nil, 0o644))
	return path
}

// onEach runs f on a disk and in memory.
func onEach(t *testing.T, f func(t *testing.T, dir string)) {
	t.Run("disk", func(t *testing.T) { f(t, t.TempDir()) })
	dir, err := os.MkdirTemp("/dev/shm", "wake-test-")
	if err != nil {
		return
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Run("memory", func(t *testing.T) { f(t, dir) })
}

// looks is how many looks without news a wait may ask for, since those who
// share the inotify instance may end each other's waits early.
const looks = 5

// mustFire fails unless an event ends the wait: that uses up the watch.
func mustFire(t testing.TB, w *Waiter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), locktest.Stuck)
	defer cancel()
	for range looks {
		require.NoError(t, w.Wait(ctx, false), "no event came")
		if w.watch == nil {
			return
		}
	}
	t.Fatal("no event came, only calls to look")
}

// mustNotFire fails if an event ends the wait.
func mustNotFire(t testing.TB, w *Waiter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), quiet)
	defer cancel()
	for range looks {
		if err := w.Wait(ctx, false); err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return
		}
		require.NotNil(t, w.watch, "an event came")
	}
	t.Fatal("it wakes up again and again")
}

// armed has a waiter whose watch is used up set the next one, which it does at
// once, so that the caller looks again.
func armed(t testing.TB, w *Waiter) {
	t.Helper()
	require.Nil(t, w.watch)
	require.NoError(t, w.Wait(context.Background(), false))
	require.NotNil(t, w.watch)
}

func open(t testing.TB, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// TestEvents has what lets the next contender in, and so must wake it.
func TestEvents(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, path string) (change func()){
		"removed": func(t *testing.T, path string) func() {
			return func() { require.NoError(t, os.Remove(path)) }
		},
		"removed while its owner has it open": func(t *testing.T, path string) func() {
			open(t, path, os.O_WRONLY)
			return func() { require.NoError(t, os.Remove(path)) }
		},
		"number changed": func(t *testing.T, path string) func() {
			return func() { require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(1, 0))) }
		},
		"owner's descriptor closed": func(t *testing.T, path string) func() {
			f := open(t, path, os.O_WRONLY)
			return func() { require.NoError(t, f.Close()) }
		},
		"directory removed": func(t *testing.T, path string) func() {
			return func() { require.NoError(t, os.RemoveAll(filepath.Dir(path))) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				path := touch(t, dir)
				change := prepare(t, path)
				w := New(path, never, true)
				defer w.Stop()
				mustNotFire(t, w)
				change()
				mustFire(t, w)
			})
		})
	}
}

// TestNoEvents has what everybody may do to a ticket at any time: probes open
// it read-only, and must not wake all that wait.
func TestNoEvents(t *testing.T) {
	for name, touch := range map[string]func(t *testing.T, path string){
		"read-only open and close": func(t *testing.T, path string) {
			require.NoError(t, open(t, path, os.O_RDONLY).Close())
		},
		"a probe of the witness": func(t *testing.T, path string) {
			f := open(t, path, os.O_RDONLY)
			require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB))
			require.NoError(t, f.Close())
		},
		"another file": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+"2", nil, 0o644))
			require.NoError(t, os.Remove(path+"2"))
		},
		"open for writing, not closed": func(t *testing.T, path string) {
			open(t, path, os.O_WRONLY)
		},
		"one of two descriptors of one opening closed": func(t *testing.T, path string) {
			f := open(t, path, os.O_WRONLY)
			fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			require.NoError(t, unix.Close(fd))
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				path := filepath.Join(dir, "ticket")
				require.NoError(t, os.WriteFile(path, nil, 0o644))
				w := New(path, never, true)
				defer w.Stop()
				touch(t, path)
				mustNotFire(t, w)
				require.NoError(t, os.Remove(path))
				mustFire(t, w)
			})
		})
	}
}

func init() {
	locktest.Register("owner", owner)
	locktest.Register("without-inotify", withoutInotify)
}

// owner has a file open for writing until it is killed.
func owner(args []string) error {
	f, err := os.OpenFile(args[0], os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	locktest.Say("open")
	locktest.Gate()
	return nil
}

// TestOwnerKilled: the kernel closes what a dead process had open.
func TestOwnerKilled(t *testing.T) {
	path := touch(t, t.TempDir())
	child := locktest.Start(t, "owner", path)
	child.Expect("open")
	w := New(path, never, true)
	defer w.Stop()
	mustNotFire(t, w)
	require.NoError(t, child.Cmd.Process.Kill())
	mustFire(t, w) // before it is reaped, too
	child.Wait()
}

func TestTwoWaiters(t *testing.T) {
	t.Run("both wake", func(t *testing.T) {
		path := touch(t, t.TempDir())
		a, b := New(path, never, true), New(path, never, true)
		defer a.Stop()
		defer b.Stop()
		require.NoError(t, os.Remove(path))
		mustFire(t, a)
		mustFire(t, b)
	})
	t.Run("one stops", func(t *testing.T) {
		path := touch(t, t.TempDir())
		a, b, c := New(path, never, true), New(path, never, true), New(path, never, true)
		defer b.Stop()
		a.Stop()
		mustNotFire(t, b)
		c.Stop()
		mustNotFire(t, b)
		require.NoError(t, os.Remove(path))
		mustFire(t, b)
	})
	t.Run("one comes after the event", func(t *testing.T) {
		// The kernel forgets a watch with its event, before we have read it:
		// the second waiter's watch is another one, and stays.
		path := touch(t, t.TempDir())
		for range 100 {
			a := New(path, never, true)
			require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(1, 0)))
			b := New(path, never, true)
			mustFire(t, a)
			a.Stop()
			require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(2, 0)))
			mustFire(t, b)
			b.Stop()
		}
	})
}

// TestAlreadyGone: there is nothing to wait for, and nothing is left behind. To
// whoever still waits, the file must be somewhere else, and is only looked at.
func TestAlreadyGone(t *testing.T) {
	w := New(filepath.Join(t.TempDir(), "gone"), never, true)
	mustFire(t, w)
	require.False(t, w.Blind())
	require.NoError(t, w.Wait(t.Context(), false), "the next watch is set, and the caller looks")
	require.True(t, w.Blind())
	w.Stop()
	require.NoError(t, locktest.Goroutines())
}

// TestArmedAgain: each watch is good for one event. The call after it sets the
// next one and has the caller look, so a change in between is not missed.
func TestArmedAgain(t *testing.T) {
	path := touch(t, t.TempDir())
	w := New(path, never, true)
	defer w.Stop()
	for i := range 50 {
		require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(int64(i), 0)))
		mustFire(t, w)
		armed(t, w)
		if i%10 == 0 {
			w.stirred = false // or else it looks again by itself
			mustNotFire(t, w)
		}
	}
	require.NoError(t, os.Remove(path))
	mustFire(t, w)
	armed(t, w)
	mustFire(t, w) // it is gone
}

// TestArmingHeedsContext: a done context ends that call as well.
func TestArmingHeedsContext(t *testing.T) {
	path := touch(t, t.TempDir())
	w := New(path, never, true)
	defer w.Stop()
	require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(1, 0)))
	mustFire(t, w)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, w.Wait(ctx, false), context.Canceled)
}

// TestNothingStays: no goroutine outlives the last wait for long.
func TestNothingStays(t *testing.T) {
	path := touch(t, t.TempDir())
	for name, end := range map[string]func(*Waiter){
		"stopped": func(w *Waiter) { w.Stop() },
		"fired": func(w *Waiter) {
			require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(1, 0)))
			mustFire(t, w)
		},
		"given up": func(w *Waiter) {
			mustNotFire(t, w)
			w.Stop()
		},
		"cannot be watched": func(w *Waiter) {
			w.Stop()
			New(path+"/below a file", never, true).Stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			end(New(path, never, true))
			require.NoError(t, locktest.Goroutines())
			local.mu.Lock()
			defer local.mu.Unlock()
			assert.Empty(t, local.watches)
			assert.Zero(t, kernelWatches(t))
		})
	}
}

// waiting waits until one waiter reads the events, for so many others.
func waiting(t testing.TB, others int) {
	t.Helper()
	waitingAt(t, &local, others)
}

func waitingAt(t testing.TB, n *notifier, others int) {
	t.Helper()
	require.Eventually(t, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.reading && len(n.followers) == others
	}, locktest.Stuck, 100*time.Microsecond)
}

// TestReaderHandsOver: of those who wait, one reads for all. Whatever ends its
// wait, and whoever of the others ends theirs first, an event still reaches
// him whom it concerns.
func TestReaderHandsOver(t *testing.T) {
	type party struct {
		w      *Waiter
		cancel context.CancelFunc
		ended  chan error
	}
	fire := func(t *testing.T, p party) {
		require.NoError(t, os.Remove(p.w.path))
		require.NoError(t, <-p.ended)
		require.Nil(t, p.w.watch, "it woke without an event")
	}
	cancel := func(t *testing.T, p party) {
		p.cancel()
		require.ErrorIs(t, <-p.ended, context.Canceled)
	}
	type step struct {
		do  func(*testing.T, party)
		who int
	}
	for name, steps := range map[string][]step{
		"in order":             {{fire, 0}, {fire, 1}, {fire, 2}},
		"others first":         {{fire, 2}, {fire, 1}, {fire, 0}},
		"reader cancelled":     {{cancel, 0}, {fire, 2}, {fire, 1}},
		"all readers go":       {{cancel, 0}, {cancel, 1}, {fire, 2}},
		"another cancelled":    {{cancel, 1}, {fire, 0}, {fire, 2}},
		"cancelled after fire": {{fire, 0}, {cancel, 1}, {fire, 2}},
		"all cancelled":        {{cancel, 2}, {cancel, 0}, {cancel, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				var parties []party
				for i := range 3 {
					ctx, cancel := context.WithTimeout(context.Background(), locktest.Stuck)
					defer cancel()
					p := party{New(touch(t, t.TempDir()), never, true), cancel, make(chan error, 1)}
					go func() {
						defer p.w.Stop()
						var err error
						for range looks {
							if err = p.w.Wait(ctx, false); err != nil || p.w.watch == nil {
								break
							}
						}
						p.ended <- err
					}()
					waiting(t, i)
					parties = append(parties, p)
				}
				for _, s := range steps {
					s.do(t, parties[s.who])
				}
			}
		})
	}
}

// TestReaderPolls: who waits beside others looks again in its own time, and
// not only when the reader does.
func TestReaderPolls(t *testing.T) {
	for _, first := range []time.Duration{never, 5 * time.Millisecond} {
		t.Run(first.String(), func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			a := New(touch(t, t.TempDir()), first, false)
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer a.Stop()
				for a.Wait(ctx, false) == nil {
				}
			}()
			waitingAt(t, &remote, 0)
			b := New(touch(t, t.TempDir()), 5*time.Millisecond, false)
			for range 20 {
				require.NoError(t, b.Wait(ctx, false))
				require.NotNil(t, b.watch)
			}
			b.Stop()
			cancel()
			<-done
		})
	}
}

// kernelWatches returns how many watches the kernel has of ours.
func kernelWatches(t testing.TB) (n int) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/self/fdinfo/%d", local.fd))
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "inotify ") {
			n++
		}
	}
	return n
}

func descriptors(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(fds)
}

// TestNothingGrows over many watches, stopped or fired.
func TestNothingGrows(t *testing.T) {
	path := touch(t, t.TempDir())
	New(path, never, true).Stop() // opens the instance
	before, watches := descriptors(t), kernelWatches(t)
	for i := range 10_000 {
		w := New(path, never, true)
		if i%100 == 0 {
			require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(int64(i), 0)))
			mustFire(t, w)
		}
		w.Stop()
	}
	assert.Equal(t, before, descriptors(t))
	assert.Equal(t, watches, kernelWatches(t))
	local.mu.Lock()
	defer local.mu.Unlock()
	assert.Empty(t, local.watches)
}

// TestStopAgainstFire: goroutines that stop while events are on their way
// disturb neither themselves nor those who wait for the same file.
func TestStopAgainstFire(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for g := range 16 {
		path := filepath.Join(dir, fmt.Sprint("ticket", g/4)) // four share one
		wg.Go(func() {
			for i := range 200 {
				assert.NoError(t, os.WriteFile(path, nil, 0o644))
				w := New(path, never, true)
				if i%3 == g%3 {
					os.Remove(path)
					ctx, cancel := context.WithTimeout(context.Background(), locktest.Stuck)
					for w.watch != nil && ctx.Err() == nil {
						assert.NoError(t, w.Wait(ctx, false))
					}
					cancel()
				} else if i%3 == (g+1)%3 {
					os.Remove(path)
				}
				w.Stop()
			}
		})
	}
	wg.Wait()
	assert.Zero(t, kernelWatches(t))
}

// TestOverflow: when the kernel had to drop events, everybody looks again.
func TestOverflow(t *testing.T) {
	path := touch(t, t.TempDir())
	a, b := New(path, never, true), New(touch(t, t.TempDir()), never, true)
	defer a.Stop()
	defer b.Stop()
	// As the kernel tells that it dropped events: of no watch (-1).
	event := make([]byte, unix.SizeofInotifyEvent)
	copy(event, []byte{0xff, 0xff, 0xff, 0xff, 0, byte(unix.IN_Q_OVERFLOW >> 8), 0, 0})
	local.mu.Lock()
	local.dispatch(event)
	local.mu.Unlock()
	mustFire(t, a)
	mustFire(t, b)
}

// withoutInotify waits where no inotify instance can be made: no descriptors
// are left. The file is removed meanwhile, which only a look can tell.
func withoutInotify(args []string) error {
	<-time.After(time.Millisecond) // the runtime's own timers need a descriptor
	limit := unix.Rlimit{Cur: 0, Max: 0}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	w := New(args[0], 5*time.Millisecond, true)
	defer w.Stop()
	if w.watch != nil || !w.unable {
		return fmt.Errorf("there is a watch")
	}
	start := time.Now()
	for range 20 {
		if err := w.Wait(context.Background(), false); err != nil {
			return err
		}
	}
	// Complete and yet not relaxed: nobody else would report a change.
	if took := time.Since(start); took < 20*15*time.Millisecond/4 {
		return fmt.Errorf("20 waits took %v", took)
	} else {
		locktest.Say("polled in time: %v", took < 10*time.Second)
	}
	return nil
}

func TestWithoutInotify(t *testing.T) {
	child := locktest.Start(t, "without-inotify", touch(t, t.TempDir()))
	child.Expect("polled in time: true")
	child.Done()
}

// TestCannotWatch: a path that cannot be watched is polled.
func TestCannotWatch(t *testing.T) {
	w := New(touch(t, t.TempDir())+"/below a file", time.Millisecond, true)
	defer w.Stop()
	assert.True(t, w.unable)
	for range 5 {
		require.NoError(t, w.Wait(context.Background(), false))
	}
	require.NoError(t, locktest.Goroutines())
}

// TestNoLinks: the link itself is watched, not what it leads to.
func TestNoLinks(t *testing.T) {
	path := touch(t, t.TempDir())
	link := path + ".link"
	require.NoError(t, os.Symlink(path, link))
	w := New(link, never, true)
	defer w.Stop()
	require.NoError(t, os.Chtimes(path, time.Now(), time.Unix(1, 0)))
	mustNotFire(t, w)
	require.NoError(t, os.Remove(link))
	mustFire(t, w)
}

// TestInstanceGivenBack: a process that waits no more keeps nothing open, and
// one that waits keeps what it needs.
func TestInstanceGivenBack(t *testing.T) {
	open := func() bool {
		local.mu.Lock()
		defer local.mu.Unlock()
		return local.file != nil
	}
	w := New(touch(t, t.TempDir()), never, true)
	require.True(t, open())
	local.expire()
	local.expire()
	require.True(t, open(), "it is in use")
	mustNotFire(t, w)
	w.Stop()
	local.expire()
	require.True(t, open(), "it was in use just now")
	require.Eventually(t, func() bool { return !open() }, locktest.Stuck, time.Millisecond)
	require.NoError(t, locktest.Goroutines())

	// The next one opens it again, and one that fired is done with it, too.
	path := touch(t, t.TempDir())
	w = New(path, never, true)
	require.NoError(t, os.Remove(path))
	mustFire(t, w)
	require.Eventually(t, func() bool { return !open() }, locktest.Stuck, time.Millisecond)
}

// TestRefusal: a kernel that refused an instance is not asked again at once,
// since that takes it as long as a hundred hand-offs.
func TestRefusal(t *testing.T) {
	n := &notifier{fd: -1, watches: map[int32][]*watch{}, refused: time.Now()}
	require.Error(t, n.open())
	n.refused = time.Now().Add(-2 * keep)
	n.deadline = time.Now().Add(never) // of the instance before
	require.NoError(t, n.open())
	require.Zero(t, n.deadline)
	require.NoError(t, n.file.Close())
}
