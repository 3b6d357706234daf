// Package fence takes fencing tokens: numbers that grow with every grant of a
// lock, from a record that outlasts processes, reboots and power losses.
//
// # The record
//
// A record is a directory with one empty file in it, whose name is
//
//	<last>-<limit>            or            <last>-<limit>-unsynced
//
// last is the token that was taken last. All tokens up to limit are reserved: the
// disk knows that they may have been given, whatever it has missed since. A token is
// taken by renaming the file:
//
//	7-1024           →  8-1024              takes 8
//	1024-1024        →  1025-2048-unsynced  takes 1025, and then, in this order,
//	                    sync the directory
//	1025-2048-unsynced → 1025-2048          others may go on without a sync
//
// # Why no token comes twice, and none after a higher one
//
// A rename is a compare-and-swap. It fails if the old name is not there, and every
// rename goes to a name with a higher last, so that no name ever returns: of all who
// have seen one state, exactly one takes it further, and who was stopped in between,
// for however long, fails. That is so on every filesystem, for all clients of a
// server too, where appending and locks are not. A kill leaves the state before or
// the state after; there is nothing to be half-written, and a full disk has room.
//
// The record is born with its file in it, by the rename of a directory: a second
// one cannot take the place of a first one that has a file.
//
// After a power loss the disk shows some state that is no older than the last sync.
// Its limit is no lower than any token that was given: who reserves gives nothing
// before the sync has succeeded, and nobody else goes by a limit marked unsynced. So
// who cannot know whether there was a power loss reserves anew, above limit. That is
// everybody who has just opened the record. From then on it knows: it lives, and the
// filesystem is its own kernel's and has not been unmounted, since it keeps the record
// open. Where a server keeps the filesystem, the server's power counts, so that there
// each token is a reservation of its own.
//
// What this does not see to, and the caller must: a token is to be taken after the
// lock was entered, and counts only if the lock is still held afterwards. Else one
// who was stopped in between would have a higher token than who has the lock.
package fence

import (
	"errors"
	"fmt"
	"io/fs"
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
	// list returns the names in it. fresh: what others have done is needed, too.
	list(fresh bool) ([]string, error)
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

// open opens the record, and makes it if it never was.
func (r *Record) open() error {
	if r.opened {
		return nil
	}
	err := r.dir.open()
	if errors.Is(err, fs.ErrNotExist) {
		if r.given > 0 {
			return r.lostError("was removed")
		}
		if err = r.dir.make(firstState(time.Now()).String()); err == nil {
			err = r.dir.open()
		}
	}
	if err != nil {
		return err
	}
	r.opened, r.watched, r.seen = true, false, false
	register(r)
	r.at("opened")
	return nil
}

// state returns the record's state, which may have moved on by now.
func (r *Record) state() (state, error) {
	if r.seen {
		return r.known, nil
	}
	names, err := r.dir.list(true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return state{}, err
	}
	r.at("listed")
	now, ok := highest(names)
	switch {
	case !ok:
		// It may be empty because it was removed, and another one may be there by now.
		r.shut()
		return state{}, fmt.Errorf("%w (%w): %s: no file of the form <last>-<limit> is in it; %s", ErrRecord, errEmpty, r.path, r.remedy())
	case now.limit < r.given:
		return state{}, r.lostError(fmt.Sprintf("went back to %d", now.limit))
	case now.last < r.given:
		r.watched = false // as if it had been opened now
	}
	r.known, r.seen = now, true
	return now, nil
}

// move takes the record from a state that was seen to another one.
func (r *Record) move(from, to state) error {
	err := r.dir.move(from.String(), to.String())
	if err == nil {
		r.known, r.seen = to, true
		r.at("moved")
		return nil
	}
	r.seen = false
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.standing(); err != nil {
		return err
	}
	return errAgain
}

// settle makes a reservation outlast a loss of power, and then tells others so.
func (r *Record) settle(reserved state) error {
	if err := r.dir.sync(!r.watched); err != nil {
		return err
	}
	r.at("synced")
	r.watched = true
	if !r.alone() {
		return nil // nobody goes by it
	}
	settled := reserved
	settled.synced = true
	if err := r.move(reserved, settled); err != nil && !errors.Is(err, errAgain) {
		return err
	}
	r.at("settled")
	return nil
}

// standing returns errAgain if the path names another directory by now, or none,
// and closes the one that was open.
func (r *Record) standing() error {
	switch ok, err := r.dir.stands(); {
	case err != nil:
		return err
	case !ok:
		r.shut()
		return errAgain
	}
	return nil
}

func (r *Record) shut() {
	if r.opened {
		r.dir.close()
		r.opened = false
		unregister(r)
	}
}

// lostError says what happened to a record from which this process has tokens.
func (r *Record) lostError(what string) error {
	return fmt.Errorf("%w: %s %s, but token %d has been given; %s", ErrRecord, r.path, what, r.given, r.remedy())
}

// remedy says how to go on above the tokens that were given.
func (r *Record) remedy() string {
	to := "<n>-<n>, where n is above all tokens that were given"
	if r.given > 0 {
		n := r.given + 1<<20
		to = fmt.Sprintf("%d-%d, or one above all tokens that were given", n, n)
	}
	return fmt.Sprintf("leave exactly one empty file in it, named %s", to)
}
