package filelock_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/waitfor"
)

func init() {
	locktest.Register("nested", nestedChild)
	locktest.Register("waits", waitsChild)
	locktest.Register("looks", looksChild)
	worldMains["nested"] = func(_ world, args []string) error { return nestedChild(args) }
}

// nestedChild takes one lock and then, when told, another one, of the kinds that it is
// told; it says what it is told while it waits, in either way, and how that ended.
func nestedChild(args []string) error {
	first, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	circle := ""
	second, err := filelock.New(args[1], filelock.WithSlog(slog.New(telling{})), filelock.WithOnWait(func(w filelock.Wait) {
		if w.Deadlock != circle {
			circle = w.Deadlock
			locktest.Say("sees %s", circle)
		}
	}))
	if err != nil {
		return err
	}
	limit, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	acquire := (*filelock.FileLock).Acquire
	if len(args) > 3 && args[3] == "shared" {
		acquire = (*filelock.FileLock).AcquireShared
	}
	if err := acquire(first, context.Background()); err != nil {
		return err
	}
	locktest.Say("holds")
	locktest.Gate()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err = second.Acquire(ctx)
	locktest.Say("ended %v", err)
	if len(args) > 4 {
		locktest.Gate()
	}
	if err == nil {
		err = second.Unlock()
	} else {
		err = nil
	}
	return errors.Join(err, first.Unlock())
}

// telling is a slog.Handler that has a child say what it is told of deadlocks.
type telling struct{}

func (telling) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (h telling) WithAttrs([]slog.Attr) slog.Handler             { return h }
func (h telling) WithGroup(string) slog.Handler                  { return h }

func (h telling) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if r.Message == "deadlock" && a.Key == "circle" {
			locktest.Say("told %s", a.Value)
		}
		return true
	})
	return nil
}

// ring starts children, each of which holds one lock of dir and is about to wait for the
// next one's, and returns what each is to be told. The first one waits no longer than limit.
func ring(t *testing.T, dir string, n int, limit time.Duration, kind string) (children []*locktest.Child, circles []string) {
	t.Helper()
	path := func(i int) string { return filepath.Join(dir, string(rune('a'+i%n))) }
	for i := range n {
		children = append(children, locktest.Start(t, "nested", path(i), path(i+1), limit, kind))
		limit = stuck
	}
	for _, c := range children {
		c.Expect("holds")
	}
	for i, c := range children {
		circle := fmt.Sprintf("may be a deadlock: pid %d waits for %s", c.Pid(), path(i+1))
		for j := i + 1; j < i+n; j++ {
			circle += fmt.Sprintf(", which pid %d holds while it waits for %s", children[j%n].Pid(), path(j+1))
		}
		circles = append(circles, circle+fmt.Sprintf(", which pid %d holds", c.Pid()))
	}
	return children, circles
}

const (
	// inTime is when a circle is told on a machine that has time,
	inTime = 2 * time.Second
	// tellable is how long one lasts that is to be told on any.
	tellable = 6 * time.Second
)

// TestCircleIsTold: processes, each of which holds one lock and waits for the next one's,
// are told in time, while they wait and when they give up. Nobody's wait ends by that.
func TestCircleIsTold(t *testing.T) {
	t.Parallel()
	limit := tellable
	if *soak > 0 {
		limit = inTime
	}
	for name, test := range map[string]struct {
		n    int
		kind string
	}{
		"two processes":   {2, "exclusive"},
		"three processes": {3, "exclusive"},
		"two readers":     {2, "shared"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, dir string) {
				children, circles := ring(t, dir, test.n, limit, test.kind)
				began := time.Now()
				for _, c := range children {
					c.Go()
				}
				for i, c := range children {
					told := []string{c.Line(), c.Line()}
					require.ElementsMatch(t, []string{"told " + circles[i], "sees " + circles[i]}, told)
				}
				t.Logf("all are told after %v: %s", time.Since(began).Round(time.Millisecond), circles[0])
				ended := children[0].Line()
				require.Contains(t, ended, "; "+circles[0]+"; gave up after ")
				t.Log(ended[strings.Index(ended, "gave up"):])
				require.GreaterOrEqual(t, time.Since(began), limit, "it was told, and nothing else")
				for _, c := range children[1:] {
					line := c.Line()
					if line == "sees " { // that there is no circle any more
						line = c.Line()
					}
					require.Equal(t, "ended <nil>", line)
				}
				for _, c := range children {
					c.Done()
				}
				requireNoTickets(t, dir)
			})
		})
	}
}

// TestCircleThatIsClosedLate: who waits already is told, too, as soon as another one closes
// the circle.
func TestCircleThatIsClosedLate(t *testing.T) {
	t.Parallel()
	children, circles := ring(t, t.TempDir(), 2, stuck, "exclusive")
	children[0].Go()
	require.True(t, children[0].Silent(2*time.Second), "there is no circle yet")
	began := time.Now()
	children[1].Go()
	for i, c := range children {
		told := []string{c.Line(), c.Line()}
		require.ElementsMatch(t, []string{"told " + circles[i], "sees " + circles[i]}, told)
	}
	took := time.Since(began)
	t.Logf("told after %v", took.Round(time.Millisecond))
	require.Less(t, took, tellable)

	// When it is over, that is told as well, and the wait goes on as if nothing had been.
	children[1].Kill()
	children[0].Expect("ended <nil>")
	children[0].Done()
}

// TestCircleThatEnds: when one in a circle gives up, the others wait in none.
func TestCircleThatEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	waits := locktest.Start(t, "nested", a, b, stuck)
	gives := locktest.Start(t, "nested", b, a, tellable, "exclusive", "stays")
	waits.Expect("holds")
	gives.Expect("holds")
	waits.Go()
	gives.Go()
	for range 2 {
		require.Contains(t, waits.Line(), "deadlock: ")
	}
	waits.Expect("sees ")
	gives.Go()
	waits.Expect("ended <nil>")
	waits.Done()
}

// TestCircleOfHeirs: who has inherited a lock holds it, as a command does that is run
// under it. Here each waits for what the other one has from its parent.
func TestCircleOfHeirs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	var heirs []*locktest.Child
	for _, way := range [][2]string{{a, b}, {b, a}} {
		l := newLock(t, way[0])
		acquire(t, l)
		defer func() { require.NoError(t, l.Unlock()) }()
		heirs = append(heirs, startCircleHeir(t, l, "waits", way[1]))
	}
	for i, way := range []string{b, a} {
		other := []string{b, a}[1-i]
		heirs[i].Expect(fmt.Sprintf("told may be a deadlock: pid %d waits for %s, which pid %d holds while it waits for %s, which pid %d holds",
			heirs[i].Pid(), way, heirs[1-i].Pid(), other, heirs[i].Pid()))
	}

	// It may wait for the very lock that it keeps.
	c := filepath.Join(dir, "c")
	l := newLock(t, c)
	acquire(t, l)
	defer func() { require.NoError(t, l.Unlock()) }()
	heir := startCircleHeir(t, l, "waits", c)
	heir.Expect(fmt.Sprintf("told may be a deadlock: pid %d waits for %s, which it has inherited itself", heir.Pid(), c))
}

// startCircleHeir starts a child that inherits a lock.
func startCircleHeir(t *testing.T, l *filelock.FileLock, args ...any) *locktest.Child {
	t.Helper()
	f, err := l.Witness()
	require.NoError(t, err)
	defer f.Close()
	env, path := locktest.Command(t, args...)
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), env)
	cmd.ExtraFiles = []*os.File{f}
	return locktest.StartCmd(t, cmd)
}

// waitsChild takes a lock, after another one if there is one, and says what it is told
// while it waits.
func waitsChild(args []string) error {
	if len(args) > 1 {
		first, err := filelock.New(args[1])
		if err != nil {
			return err
		}
		if err := first.Acquire(context.Background()); err != nil {
			return err
		}
	}
	l, err := filelock.New(args[0], filelock.WithSlog(slog.New(telling{})))
	if err != nil {
		return err
	}
	return l.Acquire(context.Background())
}

// TestCircleOfOwners: in one process it is known who waits, if owners are named: then a
// circle is a deadlock. Without names nothing is told.
func TestCircleOfOwners(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprint("named ", named), func(t *testing.T) {
			_, locks := several(t, 2)
			logs, take := throughSlog(slog.LevelWarn)
			owners := make([]context.Context, len(locks))
			all, cancel := context.WithCancel(t.Context())
			defer cancel()
			for i := range locks {
				ctx := all
				if named {
					ctx = filelock.ContextWithOwner(ctx)
				}
				require.NoError(t, locks[i].Acquire(ctx))
				owners[i] = ctx
			}
			var waits []<-chan error
			for i, ctx := range owners {
				next := newLock(t, locks[1-i].Path(), logs)
				waits = append(waits, start(func() error { return next.Acquire(ctx) }))
			}
			var told []logged
			if named { // by a look at all that waits in this process, which may take its time
				eventually(t, "the telling", func() bool {
					told = append(told, take()...)
					return len(told) >= len(waits)
				})
			} else {
				time.Sleep(inTime) // while nothing is to be told
			}
			cancel()
			for i, c := range waits {
				err := result(t, c)
				require.ErrorIs(t, err, context.Canceled)
				var busy *filelock.BusyError
				require.ErrorAs(t, err, &busy)
				want := ""
				if named {
					pid := os.Getpid()
					want = fmt.Sprintf("deadlock: an owner in pid %d waits for %s, which another owner in pid %d holds while it waits for %s, which an owner in pid %d holds",
						pid, locks[1-i].Path(), pid, locks[i].Path(), pid)
				}
				require.Equal(t, want, busy.Deadlock)
				require.Contains(t, err.Error(), want)
			}
			told = append(told, take()...)
			for _, e := range told {
				require.Equal(t, "deadlock", e.msg)
				require.Equal(t, "WARN", e.level)
			}
			if named {
				require.Len(t, told, 2, "once each")
			} else {
				require.Empty(t, told)
			}
			for _, l := range locks {
				require.NoError(t, l.Unlock())
			}
		})
	}
}

// TestNoCircleOfAnOwner: who waits in the name of one owner has nothing to do with what
// another one holds.
func TestNoCircleOfAnOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := newLock(t, filepath.Join(dir, "a")), filepath.Join(dir, "b")
	acquire(t, a)
	other := locktest.Start(t, "nested", b, a.Path(), stuck)
	other.Expect("holds")
	other.Go()
	settled(t, a.Path(), 2)
	me, cancel := context.WithTimeout(filelock.ContextWithOwner(t.Context()), inTime)
	defer cancel()
	var busy *filelock.BusyError
	require.ErrorAs(t, newLock(t, b).Acquire(me), &busy)
	require.Empty(t, busy.Deadlock, "it holds nothing")
	require.NoError(t, a.Unlock())
	for line := ""; line != "ended <nil>"; { // that process sees no owners of this one
		line = other.Line()
	}
	other.Done()
}

// TestNoCircleOfNobody: who waits in nobody's name has nothing to do with what a named
// owner holds, in whatever way that one got its name.
func TestNoCircleOfNobody(t *testing.T) {
	for name, hold := range map[string]func(l *filelock.FileLock, f func()) error{
		"Acquire": func(l *filelock.FileLock, f func()) error {
			if err := l.Acquire(filelock.ContextWithOwner(context.Background())); err != nil {
				return err
			}
			f()
			return l.Unlock()
		},
		"Do": func(l *filelock.FileLock, f func()) error {
			return l.Do(context.Background(), func(context.Context) error { f(); return nil })
		},
		"DoAll": func(l *filelock.FileLock, f func()) error {
			return filelock.DoAll(context.Background(), func(context.Context) error { f(); return nil }, l.Shared())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			a, b := newLock(t, filepath.Join(dir, "a")), filepath.Join(dir, "b")
			var other *locktest.Child
			require.NoError(t, hold(a, func() {
				other = locktest.Start(t, "nested", b, a.Path(), stuck)
				other.Expect("holds")
				other.Go()
				settled(t, a.Path(), 2)
				ctx, cancel := context.WithTimeout(t.Context(), inTime)
				defer cancel()
				var busy *filelock.BusyError
				require.ErrorAs(t, newLock(t, b).Acquire(ctx), &busy)
				require.Empty(t, busy.Deadlock)
			}))
			for line := ""; line != "ended <nil>"; { // that process sees no owners of this one
				line = other.Line()
			}
			other.Done()
		})
	}
}

// TestNoCircleOfWhoOnlyWaits: to wait for a lock in one goroutine is not to hold it in
// another one.
func TestNoCircleOfWhoOnlyWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	holder := locktest.Start(t, "hold", b)
	holder.Expect("held")
	other := locktest.Start(t, "nested", a, b, stuck)
	other.Expect("holds")
	other.Go()
	settled(t, b, 2)
	var waits []<-chan error
	for _, path := range []string{a, b} {
		l := newLock(t, path, filelock.WithTimeout(inTime))
		waits = append(waits, start(func() error { return l.Acquire(t.Context()) }))
	}
	for _, c := range waits {
		var busy *filelock.BusyError
		require.ErrorAs(t, result(t, c), &busy)
		require.Empty(t, busy.Deadlock)
	}
}

// used returns the processor time that a process has had.
func used(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	require.NoError(t, err)
	for _, task := range tasks {
		line, err := os.ReadFile(task)
		if err != nil {
			continue // it has just ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(line))[0], 10, 64)
		require.NoError(t, err)
		sum += time.Duration(ns)
	}
	return sum
}

// TestLooksAreCheap: many who wait are not busy with looking for circles.
func TestLooksAreCheap(t *testing.T) {
	if *soak == 0 {
		t.Skip("takes 15 seconds of a quiet machine: -soak")
	}
	const n, lasts, most = 64, 5 * time.Second, 10 * time.Millisecond
	for _, nested := range []bool{false, true} {
		dir := t.TempDir()
		common := filepath.Join(dir, "common")
		holder := newLock(t, common)
		acquire(t, holder)
		var children []*locktest.Child
		for i := range n {
			var c *locktest.Child
			if nested {
				c = locktest.Start(t, "waits", common, filepath.Join(dir, fmt.Sprint(i)))
			} else {
				c = locktest.Start(t, "hold", common)
			}
			children = append(children, c)
		}
		settled(t, common, n+1)
		time.Sleep(2 * time.Second) // until each has made its first look
		before := make([]time.Duration, n)
		for i, c := range children {
			before[i] = used(t, c.Pid())
		}
		time.Sleep(lasts)
		var sum time.Duration
		for i, c := range children {
			sum += used(t, c.Pid()) - before[i]
		}
		t.Logf("%d processes that wait, and hold something else %v, used %v in %v", n, nested, sum, lasts)
		if !nested {
			require.Less(t, sum, most)
		}
		require.NoError(t, holder.Unlock())
		for _, c := range children {
			c.Kill()
		}
	}
}

// TestLooksBesideBubbles: a turn in a bubble of testing/synctest, in which no look is made, does
// not use up the look that is due when this process holds something while it waits.
func TestLooksBesideBubbles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target")
	filelock.AskHeir()
	other := locktest.Start(t, "hold", path)
	settled(t, path, 1)
	defer filelock.ForgetTurns()() // of tests that gave nothing back
	eventually(t, "the looks for earlier waits", func() bool { return !filelock.LookDue() })
	l := newLock(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	done := start(func() error { return l.Acquire(ctx) })
	eventually(t, "the wait", filelock.LookIsDueToTurn)
	synctest.Test(t, func(t *testing.T) {
		in := newLock(t, filepath.Join(dir, "in a bubble"))
		acquire(t, in)
		require.NoError(t, in.Unlock())
	})
	require.False(t, filelock.LookDue())
	second := newLock(t, filepath.Join(dir, "second"))
	acquire(t, second)
	require.True(t, filelock.LookDue())
	require.NoError(t, second.Unlock())
	cancel()
	require.ErrorIs(t, result(t, done), context.Canceled)
	other.Kill()
}

// looksChild waits for a lock that is held while it holds nothing, and goes on waiting while
// it holds another one; then it holds that one from the beginning. It says when looks for
// circles are made.
func looksChild(args []string) error {
	path, other := args[0], args[1]
	waits := make(chan struct{}, 1)
	l, err := filelock.New(path, filelock.WithOnWait(func(filelock.Wait) {
		select {
		case waits <- struct{}{}:
		default: // another call than the first
		}
	}))
	if err != nil {
		return err
	}
	second, err := filelock.New(other)
	if err != nil {
		return err
	}
	look := func(after time.Time) {
		for made := filelock.Looks(); filelock.Looks() == made; {
			time.Sleep(time.Millisecond)
		}
		locktest.Say("%v %v", time.Since(after) >= time.Second, filelock.LookDue())
	}
	wait := func() (cancel func() error) {
		select {
		case <-waits: // of the wait before
		default:
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := start(func() error { return l.Acquire(ctx) })
		<-waits
		return func() error {
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}
	}

	cancel := wait()
	locktest.Say("%v", filelock.LookDue())
	began := time.Now()
	if err := second.TryLock(); err != nil {
		return err
	}
	look(began)
	if err := errors.Join(cancel(), second.Unlock()); err != nil {
		return err
	}
	for filelock.LookDue() { // the last one
		time.Sleep(time.Millisecond)
	}

	if err := second.TryLock(); err != nil {
		return err
	}
	began = time.Now()
	cancel = wait()
	look(began)
	if err := errors.Join(cancel(), second.Unlock()); err != nil {
		return err
	}
	for filelock.LookDue() {
		time.Sleep(time.Millisecond)
	}
	locktest.Say("none")
	return nil
}

// TestLooks: a look is made some time after somebody waits and holds something else, in
// whichever order that began, and again as long as it is so. Who only waits, or only holds,
// keeps nobody waiting.
func TestLooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := newLock(t, filepath.Join(dir, "a"))
	acquire(t, a)
	child := locktest.Start(t, "looks", a.Path(), filepath.Join(dir, "b"))
	child.Expect("false")
	child.Expect("true true")
	child.Expect("true true")
	child.Expect("none")
	child.Done()
	require.NoError(t, a.Unlock())
}

// TestDeadlockOfBusyError: it is in all that is made of the error, if there is one.
func TestDeadlockOfBusyError(t *testing.T) {
	err := &filelock.BusyError{Op: "acquire", Path: "/a", Err: filelock.ErrTimeout}
	wait := filelock.Wait{Path: "/a"}
	for _, circle := range []string{"", "may be a deadlock: pid 1 and so on"} {
		err.Deadlock, wait.Deadlock = circle, circle
		data, failed := json.Marshal(err)
		require.NoError(t, failed)
		logged := err.LogValue().String()
		if circle == "" {
			require.Equal(t, "filelock: /a: just released, 0 ahead; gave up after 0s: timeout", err.Error())
			require.NotContains(t, string(data)+logged+wait.String(), "deadlock")
			continue
		}
		require.Equal(t, "filelock: /a: just released, 0 ahead; "+circle+"; gave up after 0s: timeout", err.Error())
		require.Contains(t, string(data), `"deadlock":"`+circle+`"`)
		require.Contains(t, logged, "deadlock="+circle)
		require.True(t, strings.HasSuffix(wait.String(), "; "+circle), wait)
	}
}

// TestSurvey: the command can see all tickets that are open, and the circles.
func TestSurvey(t *testing.T) {
	dir := t.TempDir()
	children, circles := ring(t, dir, 2, stuck, "exclusive")
	for i, c := range children {
		c.Go()
		settled(t, filepath.Join(dir, []string{"b", "a"}[i]), 2)
	}
	all, found := waitfor.Survey()
	var texts []string
	for _, c := range found {
		if c.Steps[0].Queue.Dir == dir { // others may have circles of their own
			texts = append(texts, c.Text(waitfor.Queue.Target))
		}
	}
	require.Len(t, texts, 1)
	require.Contains(t, circles, texts[0])
	for i, c := range children {
		at := slices.IndexFunc(all, func(p waitfor.Process) bool { return p.PID == c.Pid() })
		require.GreaterOrEqual(t, at, 0)
		states := map[string]waitfor.State{}
		for _, ticket := range all[at].Tickets {
			states[filepath.Base(ticket.Target())] = ticket.State
		}
		mine, others := "a", "b"
		if i == 1 {
			mine, others = others, mine
		}
		require.Equal(t, map[string]waitfor.State{mine: waitfor.Inside, others: waitfor.Waiting}, states)
	}
}

// TestNoCircleBetweenWorlds: a process that has other files by the same names does not
// hold what is waited for here.
func TestNoCircleBetweenWorlds(t *testing.T) {
	t.Parallel()
	dir, apart := t.TempDir(), t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(apart, "b")
	for name, w := range map[string]world{
		"the same files":   {},
		"files of its own": {Mounts: []mounted{{Type: "tmpfs", Source: "none", Dir: apart}}},
	} {
		t.Run(name, func(t *testing.T) {
			requireWorld(t, w)
			here := locktest.Start(t, "nested", a, b, stuck)
			here.Expect("holds")
			if name == "files of its own" {
				holder := locktest.Start(t, "hold", b)
				holder.Expect("held")
			}
			there := inWorld(t, w, "nested", b, a, stuck)
			there.Expect("holds")
			here.Go()
			settled(t, b, 2)
			there.Go()
			settled(t, a, 2)
			if name == "files of its own" {
				require.True(t, here.Silent(inTime))
			} else {
				require.Contains(t, here.Line(), "deadlock: ")
			}
		})
	}
}
