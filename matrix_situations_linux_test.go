package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

// situation is what a contender meets whose calls fail one at a time.
type situation struct {
	name string
	opts []filelock.Option
	try  bool
	// prepare makes it so, before the contender starts, and returns what ends it:
	// after hold, or when the contender is done if that is zero.
	prepare func(t *testing.T, s *scene) (end func())
	hold    time.Duration
	// far: fstatfs fails throughout, so that the directory is taken for one that
	// other kernels mount too.
	far bool
	// of tells which calls fail; nil: all.
	of func(c *call) bool
	// slow: it takes a second or so, and only -matrix does it.
	slow bool
}

// holdFor is how long the contender waits for a holder. It is there long before.
const holdFor = 120 * time.Millisecond

var situations = []situation{
	{name: "free"},
	{name: "free, with another mode", opts: []filelock.Option{filelock.WithFileMode(0o666)}, of: pastNew},
	{name: "free, with a lease", opts: []filelock.Option{filelock.WithLease(5 * time.Second)}, of: pastNew},
	{name: "behind a holder", prepare: aHolder(0), hold: holdFor, of: pastNew},
	{name: "behind a holder, with a raise", prepare: aHolder(time.Hour), hold: holdFor, of: pastNew},
	{name: "behind a plain peer's holder", opts: []filelock.Option{filelock.WithPlainPeers()}, prepare: aHolder(0), hold: holdFor, of: pastNew},
	{name: "behind a holder, whose ticket is removed meanwhile", prepare: aRemoved, of: onOthers, slow: true},
	{name: "a try behind a holder", try: true, prepare: aHolder(0), of: pastNew},
	{name: "a try behind a holder, with a raise", try: true, prepare: aHolder(time.Hour), of: pastNew},
	{name: "behind a dead one", prepare: aTicket(func(n *ticket.Name) { n.PID = unusedPID }), of: pastNew},
	{name: "behind one that shows no sign of life", prepare: aTicket(func(n *ticket.Name) { n.PIDSpace++ }), of: onOthers, slow: true},
	{name: "behind a stopped one", prepare: aStopped, of: onOthers, slow: true},
	{name: "free, many kernels", far: true, of: pastNew},
	{name: "behind a holder, many kernels", far: true, prepare: aHolder(0), hold: holdFor, of: pastNew},
	{name: "behind a holder, with a raise, many kernels", far: true, prepare: aHolder(time.Hour), hold: holdFor, of: pastNew},
	{name: "behind a dead one, many kernels", far: true, prepare: aTicket(func(n *ticket.Name) { n.PID = unusedPID }), of: pastNew},
}

// pastNew leaves out what is the same in all situations.
func pastNew(c *call) bool { return c.phase != "New" && !strings.HasPrefix(c.object, "/") }

// onOthers are the calls about somebody else's ticket.
func onOthers(c *call) bool { return c.object == another }

// scene is one run.
type scene struct {
	situation *situation
	dir, path string
	guard     *locktest.Guard
}

// Words of the guard.
const (
	wordGivenBack = iota // when the holder left, on the machine's clock
	wordCameIn           // when the contender came in
)

// aHolder holds the lock, its ticket's time so far ahead that newcomers raise.
func aHolder(ahead time.Duration) func(t *testing.T, s *scene) func() {
	return func(t *testing.T, s *scene) func() {
		l := newLock(t, s.path, s.situation.opts...)
		acquire(t, l)
		s.guard.Enter()
		if ahead > 0 {
			at := time.Now().Add(ahead)
			require.NoError(t, os.Chtimes(filepath.Join(s.dir, tickets(t, s.dir)[0]), at, at))
		}
		return sync.OnceFunc(func() {
			s.guard.Leave()
			s.guard.Word(wordGivenBack).Store(time.Now().UnixNano())
			if err := l.Unlock(); err != nil && !errors.Is(err, filelock.ErrLost) {
				t.Errorf("the holder: %v", err)
			}
		})
	}
}

// aRemoved holds the lock, and has its ticket removed when the contender has seen
// it long since, even if the first looks failed: who has never seen a ticket
// cannot know of it. It leaves a while later.
func aRemoved(t *testing.T, s *scene) func() {
	leave := aHolder(0)(t, s)
	file := filepath.Join(s.dir, tickets(t, s.dir)[0])
	over := make(chan struct{})
	left := start(func() error {
		defer leave()
		for names := []string(nil); len(names) < 2; time.Sleep(time.Millisecond) {
			select {
			case <-over:
				return nil // it never came
			default:
			}
			names, _ = filepath.Glob(filepath.Join(s.dir, "*.lock.*"))
		}
		time.Sleep(3 * holdFor)
		err := os.Remove(file)
		time.Sleep(holdFor)
		return err
	})
	return sync.OnceFunc(func() {
		close(over)
		if err := <-left; err != nil {
			t.Errorf("removing the holder's ticket: %v", err)
		}
	})
}

// aTicket plants one.
func aTicket(edit func(n *ticket.Name)) func(t *testing.T, s *scene) func() {
	return func(t *testing.T, s *scene) func() {
		plant(t, s.path, edit)
		return func() {}
	}
}

// aStopped plants the ticket of a stopped process, which has its witness.
func aStopped(t *testing.T, s *scene) func() {
	idler := locktest.Idler()
	require.NoError(t, idler.Start())
	t.Cleanup(func() {
		idler.Process.Kill()
		idler.Wait()
	})
	pid := idler.Process.Pid
	require.NoError(t, idler.Process.Signal(syscall.SIGSTOP))
	eventually(t, "stopping it", func() bool { return processState(t, pid) == "T" })
	start := startOf(t, pid)
	holdWitness(t, plant(t, s.path, func(n *ticket.Name) { n.PID, n.Start = pid, start }))
	return func() {}
}
