package local

import "github.com/filelock-go/filelock/internal/turn"

// Bequeath leaves p, as returned by Acquire, to whoever has its witness. It is never
// passed on to the next goroutine here, which gets a place of its own at the tail.
// Whatever it returns, p is not held any more by who calls. Readers that share p with it
// go on, beside the heirs.
func (l *Line) Bequeath(p turn.Bequeather) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.partyOf(p); i >= 0 {
		l.parties[i].heirs = true
		return l.depart(i)
	}
	return l.endTurn(p, l.bequeath)
}

// bequeath does so without l.mu, which is held: let others get in line. The line
// stays busy, so that nobody else leads.
func (l *Line) bequeath(p turn.Passage) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	return p.(turn.Bequeather).Bequeath()
}
