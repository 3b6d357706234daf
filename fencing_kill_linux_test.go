package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("fencer", fencerChild)
	locktest.Register("fenced-owner", fencedOwnerChild)
}

// The words of those who take tokens, beside those of the kill tests.
const (
	wordToken   = 8 + iota // the last token of all
	wordGrants             // how many there were
	wordRepeats            // how many were not higher than the one before
)

// notes records a token while its lock is held.
func (m mortal) notes(token uint64) {
	if before := m.Word(wordToken).Swap(int64(token)); before >= int64(token) {
		m.Word(wordRepeats).Add(1)
	}
	m.Word(wordGrants).Add(1)
}

// stepClock has tickets stamped as if the clock stepped by up to an hour, to and fro.
func stepClock() {
	filelock.StampTickets(func() time.Time {
		return time.Now().Add(time.Duration(rand.Int64N(int64(2*time.Hour))) - time.Hour).Truncate(time.Minute)
	})
}

// fencerChild takes so many tokens, or as many as it can until it is told to stop
// (0); or until, after some, it comes to a step at which it kills itself.
func fencerChild(args []string) error {
	dir, target, fatal := args[0], args[1], args[3]
	grants, err1 := strconv.Atoi(args[2])
	spared, err2 := strconv.Atoi(args[4])
	guard, err3 := openMortal(dir)
	l, err4 := filelock.New(target, filelock.WithFencing())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	stepClock()
	taken := 0
	filelock.AtTokenSteps(func(step string) {
		if step == fatal && taken >= spared {
			unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	})
	for ; guard.Word(wordStop).Load() == 0 && (grants == 0 || taken < grants); taken++ {
		err := l.Do(context.Background(), func(context.Context) error {
			guard.enter()
			defer guard.leave()
			token, err := l.Token()
			guard.notes(token)
			return err
		})
		if err != nil {
			return err
		}
		if rand.IntN(50) == 0 {
			// It is opened anew, as after half a second without use.
			if err := l.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestTokensAcrossKills: a thousand grants, ten thousand in a soak, by processes of which one
// after another is killed at each step of taking a token and of making a record, while clocks step
// to and fro; by many at once, and by one after another with nobody else there.
func TestTokensAcrossKills(t *testing.T) {
	grants, times := int64(1_000), 2 // on each filesystem
	if *soak > 0 {
		grants, times = 10_000, 25
	}
	onEach(t, func(t *testing.T, dir string) {
		guard, err := openMortal(dir)
		require.NoError(t, err)
		path := filepath.Join(dir, "target")
		kills := 0
		kill := func(path, fatal string, spared int) {
			t.Helper()
			victim := locktest.Start(t, "fencer", dir, path, 0, fatal, spared)
			victim.Wait()
			require.Equal(t, "signal: killed", victim.Cmd.ProcessState.String(), "%s: %s", fatal, victim.Errors())
			kills++
		}
		// While the record is made, which happens once to each.
		for i, fatal := range filelock.TokenSteps {
			fresh := filepath.Join(dir, fmt.Sprint("fresh", i))
			guard.Word(wordToken).Store(0)
			kill(fresh, fatal, 0)
			locktest.Start(t, "fencer", dir, fresh, 3, "", 0).Done()
			requireOneRecord(t, fresh)
		}
		guard.Word(wordToken).Store(0)
		locktest.Start(t, "fencer", dir, path, 1, "", 0).Done()

		// Among others, on their way with a record that is open and one that is not.
		survivors := []*locktest.Child{
			locktest.Start(t, "fencer", dir, path, 0, "", 0), locktest.Start(t, "fencer", dir, path, 0, "", 0),
		}
		for _, fatal := range []string{"begin", "opened", "listed", "moved", "synced", "settled", "taken"} {
			for i := range times {
				kill(path, fatal, 10*i)
			}
		}
		eventually(t, "the grants", func() bool { return guard.Word(wordGrants).Load() >= grants })
		guard.Word(wordStop).Store(1)
		for _, c := range survivors {
			c.Done()
		}
		guard.Word(wordStop).Store(0)

		// One after another: the queue is empty in between, and nobody has the record.
		for _, fatal := range []string{"begin", "opened", "listed", "moved", "synced", "settled", "taken"} {
			kill(path, fatal, 0)
			locktest.Start(t, "fencer", dir, path, 2, "", 0).Done()
		}
		t.Logf("%d grants, %d kills, %d tokens that were not higher, %d overlaps",
			guard.Word(wordGrants).Load(), kills, guard.Word(wordRepeats).Load(), guard.Word(wordOverlaps).Load())
		require.Zero(t, guard.Word(wordRepeats).Load(), "a token came again, or after a higher one")
		require.Zero(t, guard.Word(wordOverlaps).Load(), "two were inside")
		requireOneRecord(t, path)
	})
}

// TestTokensAcrossMounts: two mounts of one directory, as two machines would have it,
// are two ways to one record, whoever is killed at whatever step.
func TestTokensAcrossMounts(t *testing.T) {
	const grants = 500
	mounts, err := tryViews(t, 2)
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	guard, err := openMortal(dir)
	require.NoError(t, err)
	var children []*locktest.Child
	for _, mount := range mounts {
		children = append(children, locktest.Start(t, "fencer", dir, filepath.Join(mount, "target"), grants, "", 0))
	}
	kills := 0
	steps := append([]string{"begin", "opened", "listed", "synced", "taken"}, filelock.TokenCreateSteps...)
	for i, fatal := range steps {
		victim := locktest.Start(t, "fencer", dir, filepath.Join(mounts[i%2], "target"), 0, fatal, i%3)
		victim.Wait()
		require.Equal(t, "signal: killed", victim.Cmd.ProcessState.String(), "%s: %s", fatal, victim.Errors())
		kills++
	}
	for _, c := range children {
		c.Done()
	}
	t.Logf("%d grants, %d kills", guard.Word(wordGrants).Load(), kills)
	require.GreaterOrEqual(t, guard.Word(wordGrants).Load(), int64(len(mounts)*grants))
	require.Zero(t, guard.Word(wordRepeats).Load(), "a token came again, or after a higher one")
	require.Zero(t, guard.Word(wordOverlaps).Load(), "two were inside")
	requireOneRecord(t, filepath.Join(mounts[0], "target"))
}

// requireOneRecord checks that what is left on disk is what is said to be.
func requireOneRecord(t *testing.T, path string) {
	t.Helper()
	found, err := filepath.Glob(path + ".lock.fence*")
	require.NoError(t, err)
	require.Equal(t, []string{path + ".lock.fence"}, found)
	entries, err := os.ReadDir(found[0])
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := entries[0].Info()
	require.NoError(t, err)
	require.Zero(t, info.Size())
}

// fencedOwnerChild holds with a lease and a token. It stops itself on the way, at a
// step or once it has both ("granted"), and says what came of it when it goes on.
func fencedOwnerChild(args []string) error {
	path, stopAt := args[0], args[1]
	l, err := filelock.New(path, filelock.WithFencing(), filelock.WithLease(time.Second))
	if err != nil {
		return err
	}
	stopped := false
	stop := func(step string) {
		if step == stopAt && !stopped {
			stopped = true
			// A signal to the process may be another thread's, and this one go on.
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
		}
	}
	undo := filelock.AtTokenSteps(stop)
	err = l.Acquire(context.Background())
	undo()
	if err == nil {
		var token uint64
		token, err = l.Token()
		stop("granted")
		locktest.Say("%d", token)
		err = errors.Join(err, l.Unlock())
	} else {
		locktest.Say("0")
	}
	locktest.Say("lost: %v", errors.Is(err, filelock.ErrLost))
	locktest.Gate()
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	token, err := l.Token()
	locktest.Say("%d", token)
	return errors.Join(err, l.Unlock())
}

// takeover is an owner that was stopped at a step, and who waits for its lease to end.
type takeover struct {
	step    string
	lock    *filelock.FileLock
	before  uint64
	owner   *locktest.Child
	entered <-chan error
}

// number returns the owner's next line.
func (o *takeover) number(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(o.owner.Line(), 10, 64)
	require.NoError(t, err)
	return n
}

// TestTokensAcrossTakeovers: an owner whose lease is taken at any step of getting its
// token has none afterwards; one that had it already has a lower one than its
// successor.
func TestTokensAcrossTakeovers(t *testing.T) {
	t.Parallel()
	var all []*takeover
	for where, dir := range directories(t) {
		for _, step := range []string{"begin", "opened", "listed", "moved", "synced", "settled", "taken", "granted"} {
			path := filepath.Join(dir, step)
			o := &takeover{step: where + ": " + step, lock: newLock(t, path, filelock.WithFencing())}
			acquire(t, o.lock)
			o.before = tokenOf(t, o.lock)
			require.NoError(t, o.lock.Unlock())
			require.NoError(t, o.lock.Close())
			o.owner = locktest.Start(t, "fenced-owner", path, step)
			eventually(t, "the stop", func() bool { return processState(t, o.owner.Pid()) == "T" })
			o.entered = start(func() error { return o.lock.Acquire(context.Background()) })
			all = append(all, o)
		}
	}
	for _, o := range all {
		require.NoError(t, result(t, o.entered)) // when the lease is over
		successor := tokenOf(t, o.lock)
		require.Greater(t, successor, o.before, o.step)
		proceed(t, o.owner)
		had := o.number(t)
		if strings.HasSuffix(o.step, "granted") {
			require.Greater(t, had, o.before, o.step)
			require.Less(t, had, successor, o.step)
		} else {
			require.Zero(t, had, "%s: it got a token though the lock had been taken from it", o.step)
		}
		o.owner.Expect("lost: true")
		require.True(t, o.lock.Held(), o.step)
		require.NoError(t, o.lock.Unlock(), o.step)
		o.owner.Go()
		require.Greater(t, o.number(t), successor, o.step)
		o.owner.Done()
	}
}
