// Package flockpeer has a passage take flock(2) on a file, too, for as long as it has
// its turn, so that it excludes programs that know only that.
//
// Ours queue first, and only those whose turn it is ask for the flock: one, or the
// readers that share. So their unfairness costs ours no order.
package flockpeer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/inuse"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
	"github.com/filelock-go/filelock/internal/wake"
)

// Kind is how a file is locked.
type Kind int

const (
	Exclusive Kind = iota // LOCK_EX
	Shared                // LOCK_SH
)

// errRefused says that a peer has the file.
var errRefused = errors.New("flockpeer: a peer has it")

// File is a file that peers lock. There is one for a path in a process, so that what it
// bounds is bounded for all locks that name the path. It is safe for use by several
// goroutines.
type File struct {
	path   string
	prompt bool // its filesystem asks no server
	// followed is how often it is looked whether the path still names the file that a
	// call waits for.
	followed time.Duration

	mu    sync.Mutex
	calls [2]*call      // that wait in flock(2), one of a kind; nil: none does
	given atomic.Uint64 // how often a call has given a lock back

	tries chan struct{} // has room for the one try that may ask a server
}

type result struct {
	lock *lock
	err  error
}

// fileKey tells the files of this process apart. Who made its locks in bubbles of
// testing/synctest shares no channel with others.
type fileKey struct {
	path    string
	bubbled bool
}

// files holds all files that anybody still uses. A call that waits uses its file, so
// that whoever makes its locks anew finds the call that it has left behind.
var files inuse.Map[fileKey, File]

// Files counts the files that somebody still uses.
func Files() int { return files.Len() }

const followInterval = time.Second

// Of returns the file at path, which need not exist. It may take a server's answer.
func Of(path string) *File {
	key := fileKey{path, bubble.Inside()}
	if f := files.Find(key); f != nil {
		return f
	}
	prompt := ticketdir.OneKernel(filepath.Dir(path)) // before files is locked
	return files.Of(key, func() *File {
		return &File{path: path, prompt: prompt, followed: followInterval, tries: make(chan struct{}, 1)}
	})
}

// Path returns the file's path.
func (f *File) Path() string { return f.path }

// try returns errRefused if a peer has the file.
func (f *File) try(ctx context.Context, kind Kind) (*lock, error) {
	if f.prompt || ctx.Done() == nil || bubble.Inside() {
		return f.tryNow(kind)
	}
	return f.tryFar(ctx, kind)
}

// tryNow asks for the lock. What a call that nobody wants any more has got meanwhile
// keeps no try out: it is taken over, or is given back first if it is of the other
// kind.
func (f *File) tryNow(kind Kind) (*lock, error) {
	for {
		given := f.given.Load()
		l, err := lockFile(f.path, kind)
		if !errors.Is(err, errRefused) {
			return l, err
		}
		if l = f.inherit(kind); l != nil {
			return l, nil
		}
		if l = f.inherit(1 - kind); l != nil {
			l.close()
		} else if f.given.Load() == given {
			return nil, errRefused
		}
	}
}

// mostReplaced is how often in a row the file may be another one when it is locked.
// Beyond that it is the filesystem that shows one file as another each time.
const mostReplaced = 1000

var (
	// errAgain says that the file is to be opened once more.
	errAgain    = errors.New("flockpeer: open it again")
	errReplaced = errors.New("the path names another file whenever it is locked")
)

// how is how a file is asked for.
type how struct {
	kind   Kind
	waits  bool
	writes bool // it is opened for writing, too
}

// lockFile asks for the lock without waiting.
func lockFile(path string, kind Kind) (*lock, error) {
	for h, n := (how{kind: kind}), 0; n < mostReplaced; n++ {
		l, err := lockOnce(path, &h, nil)
		if err == nil {
			return l, nil
		}
		if l != nil {
			l.close()
		}
		if !errors.Is(err, errAgain) {
			return nil, err
		}
	}
	return nil, &fs.PathError{Op: "flock", Path: path, Err: errReplaced}
}

// tryFar is tryNow where a server may have to answer. One try at a time asks it, so
// that no more than one thread waits for it, however many give up.
func (f *File) tryFar(ctx context.Context, kind Kind) (*lock, error) {
	select {
	case f.tries <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	answer := make(chan result)
	go func() {
		defer func() { <-f.tries }()
		l, err := f.tryNow(kind)
		select {
		case answer <- result{l, err}:
		case <-ctx.Done():
			if l != nil {
				l.close()
			}
		}
	}()
	select {
	case r := <-answer:
		return r.lock, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// wait returns the lock, once the peers have left it, or ctx's error.
func (f *File) wait(ctx context.Context, kind Kind) (*lock, error) {
	if bubble.Inside() {
		return f.poll(ctx, kind) // the clock would stand still
	}
	answer := make(chan result, 1)
	f.want(kind, answer)
	select {
	case r := <-answer:
		return r.lock, r.err
	case <-ctx.Done():
		f.unwant(kind, answer)
		return nil, ctx.Err()
	}
}

// giveBackPatience is how long who gives up waits for a server to take a lock back that
// came as it did, so that its next try does not find it.
const giveBackPatience = 100 * time.Millisecond

func (f *File) giveBack(l *lock) {
	if f.prompt {
		l.close()
		return
	}
	wake.Within(giveBackPatience, l.close)
}

// pollFirst and pollMost are the shortest and the longest pause between two polls.
const pollFirst, pollMost = time.Millisecond, 50 * time.Millisecond

func (f *File) poll(ctx context.Context, kind Kind) (*lock, error) {
	for pause := pollFirst; ; pause = min(2*pause, pollMost) {
		l, err := f.tryNow(kind)
		if !errors.Is(err, errRefused) {
			return l, err
		}
		if err := wake.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// releasePatience is how long a release waits for a filesystem that does not answer.
const releasePatience = 5 * time.Second

// release gives l back. turn.ErrLost: the file's path names another file by now, so
// that a peer may have come in.
func (f *File) release(l *lock) error {
	if f.prompt {
		return l.release()
	}
	var err error
	if inTime, _ := wake.Within(releasePatience, func() { err = l.release() }); !inTime {
		return fmt.Errorf("%w; the flock on %s is given back as soon as it does", turn.ErrUnanswered, f.path)
	}
	return err
}
