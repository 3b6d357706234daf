package filelock

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/filelock-go/filelock/internal/fence"
	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// Errors of fencing tokens.
var (
	// ErrNoFencing is matched by the error of Token without WithFencing.
	ErrNoFencing = errors.New("there are no tokens without WithFencing")
	// ErrFencingRecord is matched by the error of an acquisition whose token cannot
	// be known to be higher than all before it: the record beside the target is no
	// record, or it was emptied, removed or replaced by an older copy. The error says
	// what to do.
	ErrFencingRecord = fence.ErrRecord
)

// recordEnd is what the name of a record has after the prefix of the tickets, which
// end otherwise.
const recordEnd = "fence"

// WithFencing has every acquisition take a fencing token: a number that is higher
// than those of all grants of this path before it, whatever the clock does and
// however often everything was restarted. It is for the resource, which refuses
// writes with a token lower than the highest it has seen, and reads with one lower
// than the highest that came with a write, and so refuses an owner that does not
// know yet that it has lost the lock (WithLease). See Token and docs/fencing.md. Off
// by default.
//
// The tokens come from a record that stays on disk, one empty file in a small
// directory of its own beside the target, <target>.lock.fence, or in the queue
// directory. Nothing removes it, and nothing may: a lock whose record was removed
// begins anew at the clock's microseconds. Whoever may change the directory that it is
// in may change it.
//
// A grant costs four system calls more, a rename and three looks, and a sync of the disk the first time
// in half a second and for every thousandth token; on filesystems of several machines,
// for every token. An acquisition that cannot get a token fails with the filesystem's
// error or ErrFencingRecord, or with ErrLost if the lock was lost meanwhile, and gives the
// lock back.
//
// Contenders without the option take no token, so that the resource cannot tell
// what comes from them: give it to all that write to the resource.
func WithFencing() Option {
	return optionFunc(func(c *config) error { c.fencing = true; return nil })
}

// Token returns the fencing token of the grant by which l holds the lock. The holds of
// one owner that share a grant (WithReentrant) share its token, and no others do. It is
// positive. It never blocks: the token was taken with the lock.
//
// The error is an *Error. It matches ErrNoFencing without WithFencing or WithEngine, also where the
// owner acquired first by a FileLock without it, and shares that grant; ErrNotLocked if
// nothing is held through l, and ErrLost if the lock is known to be lost.
func (l *FileLock) Token() (uint64, error) {
	token, err := l.token()
	if err != nil {
		return 0, &Error{Op: "token", Path: l.path, Err: err}
	}
	return token, nil
}

func (l *FileLock) token() (uint64, error) {
	if l.fence == nil && l.engine == nil {
		return 0, ErrNoFencing
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.holds)
	if n == 0 {
		return 0, ErrNotLocked
	}
	g := l.holds[n-1].grant
	if g.passage.Lost() {
		return 0, ErrLost
	}
	if g.token == 0 { // shared with a FileLock without the option
		return 0, fmt.Errorf("%w: this owner acquired the lock by a FileLock without it", ErrNoFencing)
	}
	return g.token, nil
}

// fenced takes a token for what was acquired. If that fails, it is given back.
func (l *FileLock) fenced(ctx context.Context, g *grant, p turn.Passage) (turn.Passage, error) {
	s, ok := p.(turn.Standing)
	if !ok {
		return nil, l.giveBack(p, fmt.Errorf("fencing: %w", errors.ErrUnsupported))
	}
	// In this order (R11): a token that was taken before the lock was entered, or by
	// one who has lost the lock since, may be higher than the holder's.
	stands := s.Standing()
	token, err := passage.Within(ctx, &l.site.passages, func() (uint64, error) {
		token, err := l.fence.Next()
		if err == nil {
			err = stands()
		}
		return token, err
	})
	if err != nil {
		return nil, l.giveBack(p, err)
	}
	g.token = token
	return p, nil
}

// giveBack gives the lock back after a failure. If that was a server's silence, it
// would be kept by it too, and the caller has no time left.
func (l *FileLock) giveBack(p turn.Passage, failure error) error {
	if errors.Is(failure, turn.ErrUnanswered) {
		go func() { _ = l.line.Release(p, 0) }() // what it cannot do, it tries again
		return failure
	}
	leaving := l.line.Release(p, 0)
	if leaving == nil || errors.Is(leaving, turn.ErrLost) {
		return failure
	}
	return &local.LeaveError{Failure: failure, Err: leaving}
}

// record returns the fencing record of a queue. The FileLocks of one path share it.
func (s *site) record(q ticketdir.Queue) *fence.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fence == nil {
		s.fence = fence.New(filepath.Join(q.Dir, q.Prefix+recordEnd), s.passages.Prompt)
	}
	return s.fence
}

// isRecord reports whether a target's base name is that of a record.
func isRecord(base string) bool { return strings.HasSuffix(base, ".lock."+recordEnd) }

func init() {
	rests := ticketdir.Spare
	ticketdir.Spare = func() bool {
		some := fence.CloseIdle()
		return rests() || some
	}
	fence.Spare = func() {
		ticketdir.Spare()
		ticketdir.CloseIdle()
	}
}
