package filelock

import (
	"errors"
	"fmt"

	"github.com/filelock-go/filelock/internal/turn"
)

// Bequeath gives the lock to whoever else has the file that Witness returned: to
// the child that it was passed to, say, and to those to whom that one has passed it.
// They hold the lock, together, until the last of them has closed it or ended. If
// nobody has the file, or Witness was never called, Bequeath gives the lock back as
// Unlock does. Either way nothing is held through l afterwards, and Unlock or the
// release of Hold and Do would say ErrNotLocked. To acquire again waits like any
// other contender.
//
// A copy of the file that this process has open keeps the lock too: close it first,
// or the lock ends with it. So does, for a moment, a child that is just being
// started.
//
// Goroutines that share the lock by the same ticket (AcquireShared) go on beside the
// heirs.
//
// When the last heir ends, those who wait are told as after Unlock, and the next
// contender removes the ticket. While this process lives it also does that, within
// a minute; and where nobody else may or can, it does so within a second, which a
// waiter may have to wait then: in sticky directories, with a WithFileMode that hides
// the ticket from others, on network filesystems, and on other systems than Linux.
// Inspect names the heir.
//
// It returns within the time of a few system calls, or after five seconds where the
// filesystem does not answer. The error is an *Error. The lock is still held, with
// errors.ErrUnsupported, on systems without a witness (Windows, Plan 9, js, wasip1);
// with WithLease, since nobody would renew it, and WithPlainPeers; and while its owner
// holds it more than once (WithReentrant): give the inner holds back first. After
// any other error it is not held through l: ErrNotLocked if it was not before;
// ErrLost if it was lost meanwhile, so that the heirs may not be alone;
// ErrUnanswered; or the filesystem's own.
//
// Any goroutine may call it; it takes what Unlock would take.
func (l *FileLock) Bequeath() error {
	h, err := l.yield()
	if err == nil {
		g := h.grant
		err = g.line.Bequeath(g.passage.(turn.Bequeather))
		if !h.named && g.owner == nil {
			l.spare.Store(h)
		}
	}
	if err != nil {
		return &Error{Op: "bequeath", Path: l.path, Err: err}
	}
	return nil
}

// yield takes the last hold out of l's, if it can be left to heirs.
func (l *FileLock) yield() (*hold, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.holds) - 1
	if n < 0 {
		return nil, ErrNotLocked
	}
	h := l.holds[n]
	if err := h.grant.yield(); err != nil {
		return nil, err
	}
	l.holds = l.holds[:n]
	return h, nil
}

// yield takes the only hold from a grant whose turn can be left to heirs.
func (g *grant) yield() error {
	p, ok := g.passage.(turn.Bequeather)
	if !ok {
		return errors.ErrUnsupported
	}
	if err := p.Heritable(); err != nil {
		return err
	}
	if g.owner == nil {
		g.ends()
		return nil
	}
	g.owner.mu.Lock()
	defer g.owner.mu.Unlock()
	if g.holds > 1 {
		return fmt.Errorf("%w: its owner holds it %d times; give back all but one first", errors.ErrUnsupported, g.holds)
	}
	g.holds = 0
	g.owner.forget(g)
	g.ends()
	return nil
}
