package fence

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/idle"
)

const (
	// span is how many tokens one sync is for.
	span = 1 << 10
	// mostTries is how often others may be faster before that is an error: each
	// time one of them has got its token, and there are not so many at once.
	mostTries = 1 << 10
	// mostEmpty is how often a record may be seen without its file: while others
	// rename it, some filesystems' listings miss it.
	mostEmpty = 10
	// keep is how long an unused record stays open at the least.
	keep = time.Second / 2
)

// ErrRecord is matched when the record is not as it was left, or not one.
var ErrRecord = errors.New("the record of fencing tokens is not as it was left")

// directory is what a record's directory is asked for. Real ones are folders.
type directory interface {
	// open opens the directory that the path names now. fs.ErrNotExist: there is
	// none. It is closed before it is opened again.
	open() error
	// make makes a directory with one file of that name in it, both at once. If
	// another was faster it returns nil.
	make(first string) error
	// list returns the names in it, what others have done included.
	list() ([]string, error)
	// move renames the file. fs.ErrNotExist: it is not there.
	move(from, to string) error
	// sync returns when all moves so far outlast a loss of power, with born also
	// the directory itself.
	sync(born bool) error
	// stands reports whether the path names the open directory.
	stands() (bool, error)
	close()
}

// Record is a lock's record as this process sees it. Several goroutines may use it.
type Record struct {
	path string
	// alone reports whether this kernel alone mounts the filesystem.
	alone func() bool

	mu    sync.Mutex
	dir   directory
	at    func(step string) // tests stop, die or play tricks in it
	timer idle.Timer
	// opened: the directory is open. watched: since then it has been seen, so that
	// what there is was made in this process's lifetime.
	opened, watched bool
	known           state  // as last seen
	seen            bool   // known is something
	given           uint64 // the last token given here; 0: none
}

// Spare is asked to close what others keep open without need, when there is no
// descriptor left.
var Spare = func() {}

// At is called by all records at each of Steps. It is for tests.
var At = func(step string) {}

// Steps are the steps of taking a token, and of making a record.
var Steps = []string{
	"begin", "opened", "listed", "moved", "synced", "settled", "taken",
	"make", "make directory", "make mode", "make file", "make sync", "made", "swept",
}

// New returns the record at a path, which is made when the first token is taken.
// alone reports whether its filesystem is known to be this kernel's alone.
func New(path string, alone func() bool) *Record {
	at := func(step string) { At(step) }
	r := newRecord(path, alone, &folder{path: path, alone: alone, at: at})
	r.at = at
	return r
}

func newRecord(path string, alone func() bool, dir directory) *Record {
	r := &Record{path: path, alone: alone, dir: dir, at: func(string) {}}
	r.timer = idle.Timer{After: keep, Expire: r.expire}
	return r
}

// Next takes a token: it is higher than all that were taken before.
func (r *Record) Next() (token uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.used()
	r.at("begin")
	empty, spared := 0, false
	for range mostTries {
		token, err = r.try()
		switch {
		case err == nil:
			r.given = token
			r.at("taken")
			return token, nil
		case errors.Is(err, errEmpty) && empty < mostEmpty:
			empty++
		case outOfFiles(err) && !spared:
			spared = true
			Spare()
		case !errors.Is(err, errAgain):
			r.shut() // it may be of a server that has forgotten it
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: %s: others changed it %d times, each time before this process could", ErrRecord, r.path, mostTries)
}

var (
	errAgain = errors.New("fence: another was faster")
	errEmpty = errors.New("fence: no state in the record")
)

// try takes a token unless another was faster: errAgain.
func (r *Record) try() (uint64, error) {
	if err := r.open(); err != nil {
		return 0, err
	}
	now, err := r.state()
	if err != nil {
		return 0, err
	}
	next, err := now.next(r.watched && r.alone(), r.span())
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, r.path)
	}
	if err := r.move(now, next); err != nil {
		return 0, err
	}
	if !next.synced {
		if err := r.settle(next); err != nil {
			return 0, err
		}
	}
	// Who comes now uses the directory that the path names.
	return next.last, r.standing()
}

func (r *Record) span() uint64 {
	if r.alone() {
		return span
	}
	return 1
}
