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
	next *time.Timer
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
	t.next = time.AfterFunc(t.After, t.Expire)
}

// overdue reports whether the call that is to come should have come.
func (t *Timer) overdue() bool {
	if t.due.IsZero() {
		return false
	}
	now := time.Now()
	return !bubble.Made(now) || now.After(t.due)
}

// Hurry has the thing be kept no longer than that from now on.
func (t *Timer) Hurry(after time.Duration) {
	shorter := after < t.After
	t.After = after
	switch {
	case !t.set || !shorter:
	case !t.due.IsZero():
		t.set = false // it is not for others than that bubble to touch; the next use sets another
	case t.next.Stop():
		t.next.Reset(after)
	}
}

// Stop is for when there is nothing to close any more. A call of Expire may
// come nevertheless, if it has begun.
func (t *Timer) Stop() {
	if t.set && t.due.IsZero() && t.next.Stop() {
		t.set = false
	}
	t.used = false
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
