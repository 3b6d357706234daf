package filelock

import (
	"errors"
	"os"
	"slices"

	"github.com/filelock-go/filelock/internal/turn"
)

// Witness returns an open file that proves to all other contenders that the
// holder lives, for as long as any process has it open. Pass it to a child, as
// in exec.Cmd.ExtraFiles, and the lock outlives this process, should it be
// killed, until the child has ended too. The caller closes the file. Unlock
// gives the lock back whoever has the file.
//
// Nobody may write to it: that would change the ticket's place in the queue.
// Mind that ExtraFiles begin with descriptor 3, and that a child may take that
// for something else.
//
// The error is an *Error. It matches ErrNotLocked if nothing is held through
// l, and errors.ErrUnsupported on systems without a witness.
func (l *FileLock) Witness() (*os.File, error) {
	l.mu.Lock()
	n := len(l.holds)
	var held turn.Passage
	var h *hold
	var uses int
	if n > 0 {
		h = l.holds[n-1]
		held, uses = h.grant.passage, h.uses
	}
	l.mu.Unlock() // a server may take its time to answer
	if h == nil {
		return nil, &Error{Op: "witness", Path: l.path, Err: ErrNotLocked}
	}
	p, ok := held.(turn.Witnessed)
	if !ok {
		return nil, &Error{Op: "witness", Path: l.path, Err: errors.ErrUnsupported}
	}
	f, err := p.Witness()
	if err != nil {
		return nil, &Error{Op: "witness", Path: l.path, Err: err}
	}
	if !l.holdsStill(h, uses) {
		// Given back meanwhile; the ticket may be of another use by now (WithLinger).
		f.Close()
		return nil, &Error{Op: "witness", Path: l.path, Err: ErrNotLocked}
	}
	return f, nil
}

// holdsStill reports whether h is held since the use of that number.
func (l *FileLock) holdsStill(h *hold, uses int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.holds, h) && h.uses == uses
}
