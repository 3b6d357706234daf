package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

// The claims of SECURITY.md, by what somebody may do with the directory of a
// queue: read it (mallory is in a directory of mode 0755), create files of his
// own in it (1777), or write everything (0777).

func init() {
	worldMains["vandal"] = worldVandal
	worldMains["reader"] = worldReader
	worldMains["creator"] = worldCreator
	worldMains["harried"] = worldHarried
	tricks["anything"] = anything
}

// mallory is nobody's friend.
const mallory = 65534

// TestSecurityNamesTests: each claim of SECURITY.md names a test that is there.
func TestSecurityNamesTests(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	var sources strings.Builder
	for _, pattern := range []string{"*_test.go", "internal/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			sources.Write(source)
		}
	}
	named := 0
	for line := range strings.Lines(string(text)) {
		tests := regexp.MustCompile(`Test\w+`).FindAllString(line, -1)
		for _, test := range tests {
			require.True(t, strings.Contains(sources.String(), "func "+test+"(t *testing.T)"), "there is no %s", test)
			named++
		}
		if strings.HasPrefix(line, "|") && strings.Contains(line, "`") {
			require.NotEmpty(t, tests, "a claim without a test: %s", line)
		}
	}
	require.Greater(t, named, 10)
}

// vandalism is all that can be done to another's ticket.
var vandalism = []struct {
	name string
	do   func(ticket string) error
}{
	{"create", func(file string) error { return plantFile(file + ".created") }},
	{"open for writing", func(file string) error {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err == nil {
			f.Close()
		}
		return err
	}},
	{"change its number", func(file string) error { return os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)) }},
	{"touch", func(file string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, file, nil, 0) }},
	{"change its mode", func(file string) error { return os.Chmod(file, 0o666) }},
	{"label", func(file string) error { return unix.Setxattr(file, labelAttribute, []byte("x"), 0) }},
	{"lock its entry", func(file string) error { return lockOf(file, unix.F_WRLCK, 0) }},
	{"lock its witness", func(file string) error { return lockOf(file, unix.F_WRLCK, 1) }},
	{"read-lock its entry", func(file string) error { return lockOf(file, unix.F_RDLCK, 0) }},
	{"rename", func(file string) error {
		if err := os.Rename(file, file+".away"); err != nil {
			return err
		}
		return os.Rename(file+".away", file)
	}},
	{"replace", func(file string) error {
		own := file + ".own"
		if err := plantFile(own); err != nil {
			return err
		}
		defer os.Remove(own)
		return os.Rename(own, file)
	}},
	{"remove", os.Remove},
}

// lockOf tries to lock a byte of a file.
func lockOf(file string, kind int16, at int64) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return readLock(f, kind, at)
}

// readLocked reports whether somebody has a read lock on a ticket's entry.
func readLocked(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l) == nil && l.Type == unix.F_RDLCK
}

func readLock(f *os.File, kind int16, at int64) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Start: at, Len: 1})
}

// worldVandal tries everything with a ticket, and says what succeeded.
func worldVandal(_ world, args []string) error {
	var done []string
	for _, v := range vandalism {
		if v.do(args[0]) == nil {
			done = append(done, v.name)
		}
	}
	locktest.Say("%s", strings.Join(done, ", "))
	return nil
}

// TestVandals: what they can do to the ticket of somebody who is inside.
func TestVandals(t *testing.T) {
	t.Parallel()
	requireWorld(t, world{UID: alice}, world{UID: mallory})
	for name, tt := range map[string]struct {
		mode  uint32
		done  string
		taken bool // another may enter, and the holder learns of it
	}{
		"who may read":             {0o755, "", false},
		"who may create":           {sticky, "create", false},
		"who may write everything": {0o777, "create, rename, replace, remove", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shared(t, tt.mode)
			give(t, dir, alice, alice)
			require.NoError(t, os.Chmod(dir, modeOf(tt.mode)))
			path := filepath.Join(dir, "target")
			_, file := watched(t)
			holder := inWorld(t, world{UID: alice}, "visit", path, file)
			holder.Expect("held")
			vandal := inWorld(t, world{UID: mallory}, "vandal", filepath.Join(dir, tickets(t, dir)[0]))
			done := vandal.Line()
			t.Logf("it could: %s", done)
			require.Equal(t, tt.done, done)
			err := newLock(t, path).TryLock()
			if !tt.taken {
				require.ErrorIs(t, err, filelock.ErrLocked)
				holder.Go()
				holder.Expect("released")
				return
			}
			require.NoError(t, err, "who removes the ticket of a holder lets another in: that is what removing it means")
			holder.Go()
			require.ErrorContains(t, holder.Wait(), "exit status 1")
			require.Contains(t, holder.Errors(), filelock.ErrLost.Error())
		})
	}
}

// modeOf is a mode of the system as package os has it.
func modeOf(mode uint32) os.FileMode {
	m := os.FileMode(mode).Perm()
	if mode&unix.S_ISVTX != 0 {
		m |= os.ModeSticky
	}
	return m
}

// worldReader read-locks a byte of each ticket that it sees: once whenever it is
// told to, or all the time.
func worldReader(_ world, args []string) error {
	dir := args[0]
	at, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	seen := map[string]*os.File{}
	look := func() (locked int, why error) {
		names, err := namesIn(dir)
		if err != nil {
			return 0, err
		}
		for _, name := range names {
			if !strings.Contains(name, ".lock.") || seen[name] != nil {
				continue
			}
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				why = err
				continue
			}
			seen[name] = f
			if err := readLock(f, unix.F_RDLCK, at); err != nil {
				why = err
				continue
			}
			locked++
		}
		return locked, why
	}
	if args[2] == "once" {
		for {
			locktest.Say("ready")
			locktest.Gate()
			locked, err := look()
			locktest.Say("locked %d: %v", locked, err)
		}
	}
	var over atomic.Bool
	locktest.Say("ready")
	go func() { locktest.Gate(); over.Store(true) }()
	all := 0
	for !over.Load() {
		locked, _ := look()
		all += locked
		if len(seen) > 200 {
			for name, f := range seen {
				f.Close()
				delete(seen, name)
			}
		}
	}
	locktest.Say("locked %d", all)
	return nil
}

// readLocks has a reader lock a byte of all tickets, of which there are so many.
func readLocks(t *testing.T, dir string, at, tickets int) {
	t.Helper()
	reader := inWorld(t, world{UID: mallory}, "reader", dir, at, "once")
	reader.Expect("ready")
	reader.Go()
	reader.Expect(fmt.Sprintf("locked %d: <nil>", tickets))
}

// readable is a directory that only its owner may write to.
func readable(t *testing.T) (dir, path string) {
	t.Helper()
	requireWorld(t, world{UID: alice}, world{UID: mallory})
	dir = shared(t, 0o755)
	return dir, filepath.Join(dir, "target")
}

// TestReaderCostsAPlace: a reader that locks a ticket at the right moment keeps
// its owner from going in with it, so that it starts anew at the tail.
func TestReaderCostsAPlace(t *testing.T) {
	t.Parallel()
	dir, path := readable(t)
	guard, file := watched(t)
	first := inWorld(t, world{}, "pause", path, file, "before Enter")
	name := first.Line()
	readLocks(t, dir, 0, 1)
	next := inWorld(t, world{}, "visit", path, file)
	settled(t, path, 1) // the next one; of the first nothing shows yet
	first.Go()
	next.Expect("held")
	queued(t, dir, 2)
	require.NotContains(t, tickets(t, dir), name)
	require.True(t, first.Silent(100*time.Millisecond), "two are inside")
	leaves(next, first)
	first.Go()
	first.Expect("released")
	require.Zero(t, guard.Overlaps())
}

// worldHarried tries to get in, but lets a reader be quicker each time.
func worldHarried(w world, args []string) error {
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	filelock.AtSteps(func(step, name string) {
		file := filepath.Join(filepath.Dir(args[0]), name)
		for step == "before Enter" && !readLocked(file) {
			time.Sleep(100 * time.Microsecond)
		}
	})
	began := time.Now()
	err = l.Acquire(context.Background())
	locktest.Say("%v after %v", err, time.Since(began).Round(time.Millisecond))
	return nil
}

// TestReaderKeepsOut: a reader that is always quicker keeps everybody out. That
// is an error after some tickets, and not a wait without end.
func TestReaderKeepsOut(t *testing.T) {
	t.Parallel()
	dir, path := readable(t)
	reader := inWorld(t, world{UID: mallory}, "reader", dir, 0, "always")
	reader.Expect("ready")
	said := inWorld(t, world{}, "harried", path).Line()
	t.Log(said)
	require.Contains(t, said, filelock.ErrLost.Error())
	require.Contains(t, said, "locked the own ticket")
	reader.Go()
	t.Log(reader.Line())
	reader.Done()
	requireNoTickets(t, dir)
	l := newLock(t, path)
	require.NoError(t, l.TryLock())
	require.NoError(t, l.Unlock())
}

// TestReaderOfTheDead: a reader that locks the witness of a dead ticket makes
// its owner seem to live, until the ticket has stood at the head for as long as
// one whose owner does not take its turn. Its entry tells nobody anything.
func TestReaderOfTheDead(t *testing.T) {
	t.Parallel()
	dir, path := readable(t)
	plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
	readLocks(t, dir, 0, 1)
	l := newLock(t, path)
	require.NoError(t, l.TryLock(), "a reader's lock is nobody's entry")
	require.NoError(t, l.Unlock())
	requireNoTickets(t, dir)

	dead := 1 // each takes its time
	if *soak > 0 {
		dead = 2
	}
	for range dead {
		plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
	}
	readLocks(t, dir, 1, dead)
	require.ErrorIs(t, l.TryLock(), filelock.ErrLocked)
	began := time.Now()
	acquire(t, l)
	took := time.Since(began)
	t.Logf("%d dead tickets whose witness a reader has blocked for %v", dead, took.Round(time.Millisecond))
	require.Greater(t, took, time.Duration(dead)*(liveness.StallGrace-500*time.Millisecond))
	require.Less(t, took, time.Duration(dead)*(liveness.StallGrace+1500*time.Millisecond))
	require.NoError(t, l.Unlock())
	requireNoTickets(t, dir)
}

// TestReaderDelays: a reader that locks the witness of a holder makes those who
// wait for it take its release for a sweep, for the grace.
func TestReaderDelays(t *testing.T) {
	t.Parallel()
	dir, path := readable(t)
	children := line(t, path, 2)
	readLocks(t, dir, 1, 2)
	children[0].Go()
	children[0].Expect("released")
	began := time.Now()
	children[1].Expect("held")
	took := time.Since(began)
	t.Logf("the next one entered %v after the release", took.Round(time.Millisecond))
	require.Greater(t, took, liveness.Grace/2, "should that be mended, SECURITY.md is to say so")
	require.Less(t, took, liveness.Grace+500*time.Millisecond)
	children[1].Go()
	children[1].Expect("released")
}

// TestReaderOfTheDeadElsewhere: where other kernels take part, a held witness is
// the last word. The reader blocks for as long as it likes.
func TestReaderOfTheDeadElsewhere(t *testing.T) {
	t.Parallel()
	dir := manyKernels(t)
	path := filepath.Join(dir, "target")
	plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
	reader, err := os.Open(filepath.Join(dir, tickets(t, dir)[0]))
	require.NoError(t, err)
	t.Cleanup(func() { reader.Close() })
	require.NoError(t, readLock(reader, unix.F_RDLCK, 1))
	patience := liveness.Grace + 300*time.Millisecond
	if *soak > 0 {
		patience = liveness.StallGrace + time.Second
	}
	l := newLock(t, path, filelock.WithTimeout(patience))
	err = l.Acquire(context.Background())
	t.Log(err)
	require.ErrorIs(t, err, filelock.ErrTimeout)
	require.ErrorContains(t, err, "alive: witness held")
	reader.Close()
	require.NoError(t, l.Acquire(context.Background()))
	require.NoError(t, l.Unlock())
}

// TestReadersMakeNoTwo: whatever they lock, and whenever.
func TestReadersMakeNoTwo(t *testing.T) {
	t.Parallel()
	requireWorld(t, world{UID: alice}, world{UID: mallory})
	crowds(t, func(t *testing.T) (*locktest.Guard, []string) {
		dir := shared(t, 0o775)
		give(t, dir, -1, alice)
		for at := range 2 {
			reader := inWorld(t, world{UID: mallory}, "reader", dir, at, "always")
			reader.Expect("ready")
			defer reader.Kill()
		}
		return visitors(t, dir, 1200*time.Millisecond, nil, world{UID: alice}, world{UID: alice}, world{})
	})
}

// anything is what a creator may do, by chance, and without an end.
func anything(dir, name string) error {
	n, ok := ticket.Parse(ticket.Prefix("target"), name)
	if !ok || strings.HasSuffix(name, "planted.pid") {
		return os.ErrNotExist
	}
	n.Nonce = ticket.NewNonce()
	own := filepath.Join(dir, n.Format(ticket.Prefix("target")))
	at := time.Now().Add(time.Duration(rand.Int64N(int64(2*time.Second))) - time.Second)
	moved := func() error {
		err := errors.Join(plantFile(own), os.Chtimes(own, at, at))
		for range rand.IntN(4) {
			at = at.Add(time.Duration(rand.Int64N(int64(time.Second))) - time.Second/2)
			err = errors.Join(err, os.Chtimes(own, at, at))
		}
		return errors.Join(err, os.Remove(own))
	}
	return [...]func() error{
		moved, moved,
		func() error { return errors.Join(unix.Mkfifo(own, 0o666), os.Remove(own)) },
		func() error { return errors.Join(os.Symlink(name, own), os.Remove(own)) },
		func() error { return errors.Join(os.Mkdir(own, 0o777), os.Remove(own)) },
		func() error { // one that turns into something else
			return errors.Join(plantFile(own), os.Remove(own), os.Symlink(name, own), os.Remove(own))
		},
		func() error { // one that cannot be looked at
			return errors.Join(plantFile(own), os.Chmod(own, 0), os.Remove(own))
		},
		func() error { return tricks["raised entries"](dir, name) },
		func() error { return tricks["tickets that are hard links"](dir, name) },
	}[rand.IntN(9)]()
}

// TestCreatorsMakeNoTwo: whatever they create, and change of it.
func TestCreatorsMakeNoTwo(t *testing.T) {
	t.Parallel()
	requireWorld(t, world{UID: alice}, world{UID: bob}, world{UID: mallory})
	crowds(t, func(t *testing.T) (*locktest.Guard, []string) {
		dir := shared(t, sticky)
		creator := inWorld(t, world{UID: mallory}, "planter", dir, "anything")
		creator.Expect("ready")
		return visitors(t, dir, time.Second, creator, world{UID: alice}, world{UID: bob}, world{})
	})
}

// lies are tickets that a creator may leave, and what they do to others.
var lies = map[string]struct {
	plant func(t *testing.T, path string) string
	says  string
	fails bool // nobody can so much as queue up
	dead  bool // root's Reap removes it
}{
	"a plain ticket of another host": {
		plant: func(t *testing.T, path string) string {
			file := path + ".lock.far.example.org.7.tok.pid"
			require.NoError(t, touch(file))
			return file
		},
		says: "unknown: a plain ticket of another host",
	},
	"another's process, in another pid namespace": {
		plant: func(t *testing.T, path string) string {
			return plant(t, path, func(n *ticket.Name) { n.PID, n.PIDSpace = os.Getpid(), ticket.HashOf("a lie") })
		},
		says: fmt.Sprintf(`in the way is .* pid %d, .*dead: nobody has held its locks for .*may not remove its ticket`, os.Getpid()), dead: true,
	},
	"a ticket that nobody may read": {
		plant: func(t *testing.T, path string) string {
			file := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
			require.NoError(t, os.Chmod(file, 0))
			return file
		},
		says: "unknown: its locks cannot be seen", dead: true,
	},
	"a ticket at the end of time": {
		plant: func(t *testing.T, path string) string {
			file := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
			end := unix.Timespec{Nsec: 999_999_999}
			end.Sec = 1<<(8*unsafe.Sizeof(end.Sec)-1) - 1
			require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, file, []unix.Timespec{end, end}, 0))
			return file
		},
		says: "the last that this filesystem can store; remove it", fails: true, dead: true,
	},
}

// worldCreator says what a try meets, and then waits for the lock if it can.
func worldCreator(w world, args []string) error {
	l, guard, err := w.open(args[0], args[1])
	if err != nil {
		return err
	}
	err = l.TryLock()
	locktest.Say("%v", err)
	if !errors.Is(err, filelock.ErrLocked) {
		locktest.Gate()
	}
	return visit(l, guard)
}

// TestCreatorBlocks: one false ticket keeps all others out, until its creator,
// the directory's owner or root removes it. The error names it.
func TestCreatorBlocks(t *testing.T) {
	t.Parallel()
	requireWorld(t, world{UID: bob}, world{UID: mallory})
	together(t, slices.Sorted(maps.Keys(lies)), func(name string) string { return name }, func(t *testing.T, name string) {
		lie := lies[name]
		dir := shared(t, sticky)
		path := filepath.Join(dir, "target")
		file := lie.plant(t, path)
		give(t, file, mallory, mallory)
		_, guard := watched(t)
		honest := inWorld(t, world{UID: bob}, "creator", path, guard)
		said := honest.Line()
		t.Log(said)
		require.Regexp(t, lie.says, said)
		require.Contains(t, said, filepath.Base(file))
		if !lie.fails {
			require.True(t, honest.Silent(liveness.Grace+200*time.Millisecond), "it may not remove that, nor pass it")
		}
		reaped, err := filelock.Reap(path)
		require.NoError(t, err)
		require.Equal(t, lie.dead, slices.ContainsFunc(reaped, func(r filelock.Ticket) bool { return r.Path == file }))
		if !lie.dead {
			require.NoError(t, os.Remove(file))
		}
		if lie.fails {
			honest.Go()
		}
		honest.Expect("held")
		honest.Go()
		honest.Expect("released")
	})
}

// TestCreatorPassesOn: a ticket of a dead process is skipped by those who may
// not remove it, so that only false ones block.
func TestCreatorPassesOn(t *testing.T) {
	t.Parallel()
	requireWorld(t, world{UID: bob})
	dir := shared(t, sticky)
	path := filepath.Join(dir, "target")
	for range 100 {
		plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
	}
	_, guard := watched(t)
	began := time.Now()
	honest := inWorld(t, world{UID: bob}, "visit", path, guard)
	honest.Expect("held")
	t.Logf("past 100 dead tickets that it may not remove in %v, with its start", time.Since(began).Round(time.Millisecond))
	honest.Go()
	honest.Expect("released")
}

// TestWriterTouches: who may change a holder's number, which only its user and
// root may, lets another in. Without a lease the holder is not told: its ticket
// is there.
func TestWriterTouches(t *testing.T) {
	path := target(t)
	holder := newLock(t, path)
	require.NoError(t, holder.TryLock())
	rival := newLock(t, path)
	rival.OwnLine()
	waits := start(func() error { return rival.Acquire(t.Context()) })
	settled(t, path, 2)
	requireBlocks(t, waits)
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	ahead := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(q.Tickets[0].Path, ahead, ahead))
	require.NoError(t, result(t, waits))
	require.NoError(t, holder.Unlock(), "should it know by now, SECURITY.md is to say so")
	require.NoError(t, rival.Unlock())
}

// TestWriterReplaces: who removes a holder's ticket, and puts a file of the same
// name there once another has entered, hides from the holder what it did.
func TestWriterReplaces(t *testing.T) {
	path := target(t)
	holder, rival := newLock(t, path), newLock(t, path)
	rival.OwnLine()
	require.NoError(t, holder.TryLock())
	file := filepath.Join(filepath.Dir(path), tickets(t, filepath.Dir(path))[0])
	require.NoError(t, os.Remove(file))
	require.NoError(t, rival.TryLock())
	require.NoError(t, touch(file))
	require.NoError(t, holder.Unlock(), "should it know by now, SECURITY.md is to say so")
	require.NoError(t, rival.Unlock())
	requireNoTickets(t, filepath.Dir(path))
}
