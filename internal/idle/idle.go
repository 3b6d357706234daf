// Package idle tells when something kept open was not used for a while.
//
// A timer that every use sets anew would cost more than all else in a free
// passage. So one timer asks, now and then, whether there was a use.
package idle

import (
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
)

// Timer calls back about one thing. Its owner's mutex guards it.
type Timer struct {
	// After is how long the thing is kept at the least when it is not in use,
	// and half the longest time.
	After time.Duration
	// Expire is called some time after a use. It locks the owner's mutex and
	// asks Over.
	Expire func()

	used bool // since Over was last asked
	set  bool // a call of Expire is to come
	// due is when that is, in a bubble of testing/synctest: timers end with their
	// bubble, and then it never comes. Zero outside of bubbles.
	due time.Time
}

// Used notes a use that has just ended.
func (t *Timer) Used() {
	t.used = true
	if t.set && !t.overdue() {
		return
	}
	t.set, t.due = true, time.Time{}
	if now := time.Now(); bubble.Made(now) {
		t.due = now.Add(t.After)
	}
	time.AfterFunc(t.After, t.Expire)
}

// overdue reports whether the call that is to come should have come.
func (t *Timer) overdue() bool {
	if t.due.IsZero() {
		return false
	}
	now := time.Now()
	return !bubble.Made(now) || now.After(t.due)
}

// Over is asked by Expire, and reports whether the thing is to be closed. If
// it is in use, the end of that use sees to it; if it was of late, Expire is
// called again.
func (t *Timer) Over(inUse bool) bool {
	t.set = false
	switch {
	case inUse:
		return false
	case t.used:
		t.Used()
		t.used = false
		return false
	}
	return true
}

// Set reports whether a call of Expire is to come.
func (t *Timer) Set() bool { return t.set }
