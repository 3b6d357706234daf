package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

func init() {
	worldMains["visitor"] = worldVisitor
	worldMains["planter"] = worldPlanter
	worldMains["trickster"] = worldTrickster
	worldMains["pause"] = worldPause
}

// worldVisitor takes a lock over and over for some time, waiting and trying by
// turns, and is inside for a moment each time. Whatever it is refused with, it
// goes on.
func worldVisitor(w world, args []string) error {
	l, guard, err := w.open(args[0], args[1])
	if err != nil {
		return err
	}
	lasts, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	locktest.Say("ready")
	locktest.Gate()
	holds, refused := 0, map[string]int{}
	for until := time.Now().Add(lasts); time.Now().Before(until); {
		ctx, cancel := context.WithDeadline(context.Background(), until)
		acquire := l.Acquire
		if rand.IntN(2) == 0 {
			acquire = l.TryAcquire
		}
		err := acquire(ctx)
		cancel()
		if err == nil {
			guard.Enter()
			time.Sleep(100 * time.Microsecond)
			guard.Leave()
			holds++
			err = l.Unlock()
		}
		if err != nil {
			refused[kindOf(err)]++
		}
	}
	locktest.Say("%d holds, refused %v", holds, refused)
	return nil
}

// kindOf is an error in a word.
func kindOf(err error) string {
	for word, kind := range map[string]error{
		"busy": filelock.ErrLocked, "late": context.DeadlineExceeded, "lost": filelock.ErrLost, "end of time": queue.ErrTop,
	} {
		if errors.Is(err, kind) {
			return word
		}
	}
	return err.Error()
}

// trick is what a planter does with a ticket that it sees for the first time.
type trick func(dir, ticket string) error

var tricks = map[string]trick{
	// A number far above its own, as rule R10 has it on other filesystems.
	"raised entries": func(dir, name string) error {
		at := queue.Number{Sec: time.Now().Add(24 * time.Hour).Unix()}
		return plantFile(filepath.Join(dir, ticket.Raised(name, at)))
	},
	// As a snapshot makes them (cp -al, rsnapshot).
	"hard links": func(dir, name string) error {
		return os.Link(filepath.Join(dir, name), filepath.Join(dir, ticket.NewNonce()))
	},
	// A second name that is a ticket's, for the same file.
	"tickets that are hard links": func(dir, name string) error {
		n, ok := ticket.Parse(ticket.Prefix("target"), name)
		if !ok {
			return fs.ErrInvalid
		}
		n.Nonce = ticket.NewNonce()
		return os.Link(filepath.Join(dir, name), filepath.Join(dir, n.Format(ticket.Prefix("target"))))
	},
}

func plantFile(file string) error {
	fd, err := unix.Open(file, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o666)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// worldPlanter does a trick with each ticket as soon as it sees it, until it is
// told to stop. What it planted it removes soon after, lest the directory grow.
func worldPlanter(_ world, args []string) error {
	dir, do := args[0], tricks[args[1]]
	var over atomic.Bool
	locktest.Say("ready")
	go func() { locktest.Gate(); over.Store(true) }()
	done := map[string]bool{}
	planted, refused := 0, 0
	var why error
	for !over.Load() {
		names, err := namesIn(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			switch _, isTicket := ticket.Parse(ticket.Prefix("target"), name); {
			case !isTicket && len(names) > 100:
				os.Remove(filepath.Join(dir, name))
			case isTicket && !done[name]:
				done[name] = true
				switch err := do(dir, name); {
				case err == nil:
					planted++
				case !errors.Is(err, fs.ErrNotExist):
					refused++
					why = err
				}
			}
		}
	}
	locktest.Say("planted %d, refused %d times: %v", planted, refused, why)
	return nil
}

// worldTrickster does a trick once, with one ticket.
func worldTrickster(_ world, args []string) error {
	locktest.Say("%v", tricks[args[1]](args[0], args[2]))
	return nil
}

// worldPause visits a lock, but waits for the test at a step of its first ticket.
func worldPause(w world, args []string) error {
	l, guard, err := w.open(args[0], args[1])
	if err != nil {
		return err
	}
	paused := false
	filelock.AtSteps(func(step, name string) {
		if step == args[2] && !paused {
			paused = true
			locktest.Say("%s", name)
			locktest.Gate()
		}
	})
	return visit(l, guard)
}

func namesIn(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// visitors has others contend while a planter is at work, and returns what they
// say: first the planter, if there is one.
func visitors(t *testing.T, dir string, lasts time.Duration, planter *locktest.Child, users ...world) (guard *locktest.Guard, said []string) {
	t.Helper()
	guard, file := watched(t)
	var all []*locktest.Child
	for _, w := range users {
		v := inWorld(t, w, "visitor", filepath.Join(dir, "target"), file, lasts)
		v.Expect("ready")
		all = append(all, v)
	}
	for _, v := range all {
		v.Go()
	}
	for _, v := range all {
		said = append(said, v.Line())
		v.Done()
	}
	if planter != nil {
		planter.Go()
		said = append([]string{planter.Line()}, said...)
		planter.Done()
	}
	return guard, said
}

// TestPlanted: another user, in a directory where everybody may create and only
// owners may remove, plants raised entries and hard links for all tickets that
// it sees. A ticket of the dead with a number ahead of the clock has everybody
// raise, and many other files make listings slow, so that what is planted
// between two listings of one contender is seen by the second.
func TestPlanted(t *testing.T) {
	t.Parallel()
	a, b, planter := world{UID: alice}, world{UID: bob}, world{UID: carol}
	requireWorld(t, a, b, planter)
	type plot struct {
		trick string
		by    world
	}
	plots := []plot{{"raised entries", planter}, {"hard links", planter}}
	if err := linkAs(t, planter); err != nil {
		t.Logf("another user may make no hard links here (%v): the holders' own user makes some", err)
		plots = append(plots, plot{"hard links", a})
	}
	together(t, plots, func(p plot) string { return fmt.Sprintf("%s by %d", p.trick, p.by.UID) }, func(t *testing.T, p plot) {
		crowds(t, func(t *testing.T) (*locktest.Guard, []string) {
			dir := shared(t, sticky)
			for i := range 200 {
				require.NoError(t, touch(filepath.Join(dir, fmt.Sprint("file", i))))
			}
			bait := plant(t, filepath.Join(dir, "target"), func(n *ticket.Name) { n.PID = unusedPID })
			ahead := time.Now().Add(time.Hour)
			require.NoError(t, os.Chtimes(bait, ahead, ahead))
			give(t, bait, carol, carol)
			c := inWorld(t, p.by, "planter", dir, p.trick)
			c.Expect("ready")
			return visitors(t, dir, time.Second, c, a, b, a, b)
		})
	})
}

// crowds has rounds of visitors, one after the other: they need the processors.
func crowds(t *testing.T, round func(t *testing.T) (*locktest.Guard, []string)) {
	t.Helper()
	var holds int64
	for i := range attempts() {
		guard, said := round(t)
		for again := 0; guard.Holds() == 0 && again < 5; again++ {
			guard, said = round(t) // nobody came in while the machine was busy
		}
		if i == 0 {
			t.Log(strings.Join(said, "; "))
		}
		require.Zero(t, guard.Overlaps(), "%v", said)
		holds += guard.Holds()
	}
	require.Positive(t, holds, "nobody was ever inside")
	t.Logf("%d rounds, %d holds, 0 overlaps", attempts(), holds)
}

// linkAs returns the error of a hard link that a user makes of another's ticket.
func linkAs(t *testing.T, w world) error {
	t.Helper()
	dir := shared(t, sticky)
	file := plant(t, filepath.Join(dir, "target"), func(*ticket.Name) {})
	if said := inWorld(t, w, "trickster", dir, "hard links", filepath.Base(file)).Line(); said != "<nil>" {
		return errors.New(said)
	}
	return nil
}

// repeatedly runs a test as often as it takes, side by side.
func repeatedly(t *testing.T, round func(t *testing.T)) {
	t.Helper()
	together(t, make([]struct{}, attempts()), func(struct{}) string { return "round" }, func(t *testing.T, _ struct{}) { round(t) })
	t.Logf("%d rounds, 0 overlaps", attempts())
}

// TestRaisedBetweenTwoListings: what anybody may write into a directory says
// nothing of a holder's number.
//
//  1. A is inside.
//  2. B lists, and raises its number above all that it saw.
//  3. C plants an entry by which A's number would be above B's.
//  4. B lists again, and decides: A is ahead.
func TestRaisedBetweenTwoListings(t *testing.T) {
	t.Parallel()
	a, b, c := world{UID: alice}, world{UID: bob}, world{UID: carol}
	requireWorld(t, a, b, c)
	repeatedly(t, func(t *testing.T) {
		dir := shared(t, sticky)
		path := filepath.Join(dir, "target")
		guard, file := watched(t)
		holder := inWorld(t, a, "visit", path, file)
		holder.Expect("held")
		held := tickets(t, dir)
		require.Len(t, held, 1)
		bait := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
		ahead := time.Now().Add(time.Hour)
		require.NoError(t, os.Chtimes(bait, ahead, ahead))

		rival := inWorld(t, b, "pause", path, file, "after Renumber")
		rival.Line()
		inWorld(t, c, "trickster", dir, "raised entries", held[0]).Expect("<nil>")
		rival.Go()
		require.True(t, rival.Silent(300*time.Millisecond), "two are inside")
		leaves(holder, rival)
		rival.Go()
		rival.Expect("released")
		require.Zero(t, guard.Overlaps())
	})
}

// TestLinkedBeforeItsLock: a count of links hides the loss of a name.
//
//  1. A creates its ticket, and is stopped.
//  2. Somebody links it elsewhere: it has two names.
//  3. B removes it after the grace, and enters: it has one name.
//  4. A goes on, and locks its ticket. Its name is gone whatever the count says.
func TestLinkedBeforeItsLock(t *testing.T) {
	t.Parallel()
	slow := world{PIDs: true, UID: alice}
	requireWorld(t, slow)
	repeatedly(t, func(t *testing.T) {
		dir := shared(t, 0o777)
		path := filepath.Join(dir, "target")
		guard, file := watched(t)
		a := inWorld(t, slow, "pause", path, file, "before Settle")
		first := filepath.Join(dir, a.Line())
		require.NoError(t, os.Link(first, filepath.Join(dir, "snapshot")))
		began := time.Now()
		b := newLock(t, path)
		acquire(t, b)
		guard.Enter()
		require.GreaterOrEqual(t, time.Since(began), liveness.Grace-50*time.Millisecond)
		require.NoFileExists(t, first)
		a.Go()
		settled(t, path, 2)
		require.True(t, a.Silent(100*time.Millisecond), "two are inside")
		guard.Leave()
		require.NoError(t, b.Unlock())
		a.Expect("held")
		a.Go()
		a.Expect("released")
		require.Zero(t, guard.Overlaps())
	})
}
