package filelock

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/filelock-go/filelock/internal/flockpeer"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// stamped is a directory whose tickets get a time of ours as soon as they are
// there, as if the clock had been stepped.
type stamped struct {
	passage.TicketDir
	dir  string
	when func() time.Time
}

func (s stamped) Create() (string, error) {
	name, err := s.TicketDir.Create()
	if err != nil {
		return "", err
	}
	at := s.when()
	return name, os.Chtimes(filepath.Join(s.dir, name), at, at)
}

// StampTickets has all tickets stamped from now on.
func StampTickets(when func() time.Time) {
	was := passage.Open
	passage.Open = func(q *ticketdir.Queue, after passage.TicketDir) passage.TicketDir {
		return stamped{was(q, after), q.Dir, when}
	}
}

// Waiting returns how many goroutines wait behind the one that leads or holds.
func (l *FileLock) Waiting() int { return l.line.Waiting() }

// GiveUpRests removes all tickets of this process that rest.
func GiveUpRests() { ticketdir.Spare() }

// stuckDir is a directory that refuses the first removals, and the first ends of
// doorways.
type stuckDir struct {
	*ticketdir.Own
	refusals, settles *int
}

func (s stuckDir) Remove() error {
	if *s.refusals > 0 {
		*s.refusals--
		return &os.PathError{Op: "remove", Path: s.Path(), Err: syscall.EIO}
	}
	return s.Own.Remove()
}

func (s stuckDir) Settle(waits bool) error {
	if *s.settles > 0 {
		*s.settles--
		return &os.PathError{Op: "lock", Path: s.Path(), Err: syscall.EIO}
	}
	return s.Own.Settle(waits)
}

// RefuseRemovals has the first n removals of tickets of l fail.
func RefuseRemovals(l func() error, n int) error { return refuse(l, n, 0) }

// RefuseSettle has the end of the first doorway of l fail, and the removal of
// that ticket too.
func RefuseSettle(l func() error) error { return refuse(l, 1, 1) }

func refuse(l func() error, removals, settles int) error {
	was := passage.Open
	defer func() { passage.Open = was }()
	passage.Open = func(q *ticketdir.Queue, _ passage.TicketDir) passage.TicketDir {
		return stuckDir{ticketdir.New(*q), &removals, &settles}
	}
	return l()
}

// CountSteps has f called after every call that goes from a ticket to its
// directory, with the call's name and whose it is: the first ticket made from
// now on is 0. It returns what undoes it.
func CountSteps(f func(contender int, call string)) (undo func()) {
	was := passage.Open
	var begun atomic.Int64
	passage.Open = func(q *ticketdir.Queue, after passage.TicketDir) passage.TicketDir {
		contender := int(begun.Add(1)) - 1
		return &stepped{was(q, after), func(step, _ string) {
			if call, after := strings.CutPrefix(step, "after "); after {
				f(contender, call)
			}
		}}
	}
	return func() { passage.Open = was }
}

// UntoldCalls returns the calls to a ticket's directory that neither AtSteps
// nor CountSteps tells of.
func UntoldCalls() (calls []string) {
	directory := reflect.TypeFor[passage.TicketDir]()
	for i := range directory.NumMethod() {
		if name := directory.Method(i).Name; !slices.Contains(Steps, name) && !slices.Contains(RestSteps, name) {
			calls = append(calls, name)
		}
	}
	return calls
}

// OwnLine gives l a line of its own, so that it takes tickets of its own beside
// the other locks of its path, as in another process.
func (l *FileLock) OwnLine() { l.line = new(line) }

// Lines returns how many lines are known at l's site, and PeerFiles how many files that
// peers lock are known at all.
func (l *FileLock) Lines() int { return l.site.lines.Len() }

// PeerFiles: see Lines.
func PeerFiles() int { return flockpeer.Files() }

// ForgetLines does what the cleanups of lines do that were known before by the keys of
// those that are in use now.
func (l *FileLock) ForgetLines() {
	var keys []lineKey
	l.site.lines.Each(func(key lineKey, _ *line) { keys = append(keys, key) })
	for _, key := range keys {
		l.site.lines.Forget(key)
	}
}

// NamelessHolds returns how many holds are in nobody's name, of those in l's line.
func (l *FileLock) NamelessHolds() int { return int(l.line.nameless.Load()) }

// LineOf has l share the line of another lock of its path.
func (l *FileLock) LineOf(other *FileLock) { l.line = other.line }

// LookDue reports whether this process is going to look for circles of waits.
func LookDue() bool {
	deadlocks.mu.Lock() // not in the midst of a look
	defer deadlocks.mu.Unlock()
	return deadlocks.armed.Load()
}

// LookIsDueToTurn reports whether a look is made once this process gets a turn.
func LookIsDueToTurn() bool { return deadlocks.idle.Load() }

// ForgetTurns forgets earlier turns and waits, the turns until restore.
func ForgetTurns() (restore func()) {
	n := deadlocks.turns.Swap(0)
	deadlocks.idle.Store(false)
	return func() { deadlocks.turns.Add(n) }
}

// AskHeir finds out whether this process is an heir, as its first wait does.
func AskHeir() {
	if deadlocks.asked.CompareAndSwap(false, true) {
		deadlocks.askHeir()
	}
}

// Turns returns how many turns this process has, as far as is counted.
func Turns() int64 { return deadlocks.turns.Load() }

// Freeze has nothing change of what o holds, until thaw.
func (o *Owner) Freeze() (thaw func()) {
	o.mu.Lock()
	return o.mu.Unlock
}

// Looks returns how many looks for circles were made.
func Looks() int64 { return deadlocks.looks.Load() }

// Walks returns how often lines were gone through for those who are told of their wait.
func Walks() int64 { return lookouts.walks.Load() }

// AsksAgain reports whether who looks again and again asks once more whether a holder has
// bequeathed, who was seen not to have: its ticket was touched at that time.
func AsksAgain(touched time.Time) bool {
	t := Ticket{reachable: true, State: Inside, marked: true, touched: touched}
	_ = t.bequeathed(&Ticket{})
	return !t.kept
}

// CountAsked has all counted that is asked about what processes have open, until undo: of
// one whether it has let a file go, and of all who has it open. With hide, nobody can be
// seen to have it.
func CountAsked(hide bool) (letGoes, openers *atomic.Int64, undo func()) {
	letGoes, openers = new(atomic.Int64), new(atomic.Int64)
	wasLetGo, wasOpener := letGo, opener
	letGo = func(pid int, path string) bool {
		letGoes.Add(1)
		return wasLetGo(pid, path)
	}
	opener = func(path string) int {
		openers.Add(1)
		if hide {
			return 0
		}
		return wasOpener(path)
	}
	return letGoes, openers, func() { letGo, opener = wasLetGo, wasOpener }
}
