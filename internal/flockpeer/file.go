// Package flockpeer has a passage take flock(2) on a file, too, for as long as it has
// its turn, so that it excludes programs that know only that.
//
// Ours queue first, and only the one whose turn it is asks for the flock. So at
// most one of ours stands among the peers, and their unfairness costs ours no
// order.
package flockpeer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
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

// File is a file that peers lock. It is safe for use by several goroutines.
//
// A flock(2) that waits cannot be called off. So it waits in a goroutine of its own,
// and whoever gives up leaves that behind. If it gets the lock later, it gives it back
// at once; if the next one comes before that, it takes over the wait, and its place
// among the peers. So however many give up, one wait of each kind is left. To poll
// instead would be simpler, and starve beside two peers that wait in flock: the lock
// is hardly ever free at the moment of a poll.
type File struct {
	path   string
	prompt bool // its filesystem asks no server

	mu    sync.Mutex
	calls map[call]*pending
}

// call is what may go on in the background.
type call struct {
	kind  Kind
	waits bool
}

// pending is a call that goes on.
type pending struct {
	wanted bool        // somebody waits for its end; guarded by File.mu
	done   chan result // has room for one, which is sent if it is wanted
}

type result struct {
	lock *lock
	err  error
}

// New returns the file at path, which need not exist.
func New(path string) *File {
	return &File{path: path, prompt: ticketdir.OneKernel(filepath.Dir(path)), calls: map[call]*pending{}}
}

// Path returns the file's path.
func (f *File) Path() string { return f.path }

// try returns errRefused if a peer has the file.
func (f *File) try(ctx context.Context, kind Kind) (*lock, error) {
	if f.prompt || ctx.Done() == nil || bubble.Inside() {
		return tryLock(f.path, kind)
	}
	return f.inBackground(ctx, call{kind: kind})
}

// wait returns the lock, once the peers have left it, or ctx's error.
func (f *File) wait(ctx context.Context, kind Kind) (*lock, error) {
	if bubble.Inside() {
		return f.poll(ctx, kind) // the clock would stand still
	}
	return f.inBackground(ctx, call{kind, true})
}

// pollFirst and pollMost are the shortest and the longest pause between two polls.
const pollFirst, pollMost = time.Millisecond, 50 * time.Millisecond

func (f *File) poll(ctx context.Context, kind Kind) (*lock, error) {
	for pause := pollFirst; ; pause = min(2*pause, pollMost) {
		l, err := tryLock(f.path, kind)
		if !errors.Is(err, errRefused) {
			return l, err
		}
		if err := wake.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// inBackground makes the call, or takes over one that was left behind. When ctx is
// done first, it leaves it behind.
func (f *File) inBackground(ctx context.Context, c call) (*lock, error) {
	f.mu.Lock()
	p := f.calls[c]
	if p == nil || p.wanted { // with another queue's lock, it may be
		p = &pending{done: make(chan result, 1)}
		f.calls[c] = p
		go f.run(c, p)
	}
	p.wanted = true
	f.mu.Unlock()
	select {
	case r := <-p.done:
		return r.lock, r.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case r := <-p.done: // as we gave up
		if r.lock != nil {
			go r.lock.release()
		}
	default:
		p.wanted = false
	}
	return nil, ctx.Err()
}

// run makes the call. What nobody wants any more is given back.
func (f *File) run(c call, p *pending) {
	var r result
	if c.waits {
		r.lock, r.err = waitLock(f.path, c.kind, func() bool { return f.wants(p) })
	} else {
		r.lock, r.err = tryLock(f.path, c.kind)
	}
	f.mu.Lock()
	if f.calls[c] == p {
		delete(f.calls, c)
	}
	wanted := p.wanted
	if wanted {
		p.done <- r
	}
	f.mu.Unlock()
	if !wanted && r.lock != nil {
		_ = r.lock.release()
	}
}

func (f *File) wants(p *pending) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.wanted
}

// releasePatience is how long a release waits for a filesystem that does not answer.
const releasePatience = 5 * time.Second

// release gives l back. turn.ErrLost: the file's path names another file by now, so
// that a peer may have come in.
func (f *File) release(l *lock) error {
	if f.prompt {
		return l.release()
	}
	done := make(chan error, 1)
	go func() { done <- l.release() }()
	timer := time.NewTimer(releasePatience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%w; the flock on %s is given back as soon as it does", turn.ErrUnanswered, f.path)
	}
}
