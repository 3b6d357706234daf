package local

import "github.com/filelock-go/filelock/internal/turn"

// Bequeath leaves p, as returned by Acquire, to whoever has its witness. It is never
// passed on to the next goroutine here, which gets a place of its own at the tail.
// Whatever it returns, p is not held any more.
func (l *Line) Bequeath(p turn.Bequeather) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var tail turn.Passage
	if w := l.waiters.first; w != nil {
		tail = l.joinTail(w.attempt)
	}
	err := l.bequeath(p)
	l.front = nil
	if tail != nil && l.waiters.n == 0 { // all gave up meanwhile
		_ = l.leave(tail)
		tail = nil
	}
	l.next(given{passage: tail})
	return err
}

// bequeath does so without l.mu, which is held: let others get in line. The line
// stays busy, so that nobody else leads.
func (l *Line) bequeath(p turn.Bequeather) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	return p.Bequeath()
}
