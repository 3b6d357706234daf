// Package bubble tells what runs in a bubble of testing/synctest, where channels
// and timers must not be shared with others, behind the scenes or not.
package bubble

import "time"

// Inside reports whether the caller runs in a bubble.
//
// There is no function for that. But times in bubbles, and no others of
// time.Now, have no monotonic reading: the runtime leaves it out on purpose. Should
// that change, TestBubbles of the root package fails.
func Inside() bool { return Made(time.Now()) }

// Made reports whether t is from a call of time.Now in a bubble.
func Made(t time.Time) bool { return t == t.Round(0) }
