package wake

import (
	"context"
	"time"
)

// Until calls f, in a goroutine of its own, and reports whether it returned before over was
// closed. If not, it goes on, as a call does that a filesystem does not answer: what it
// sets is not to be looked at before ended is closed.
func Until(over <-chan struct{}, f func()) (inTime bool, ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true, done
	case <-over:
		return false, done
	}
}

// Within is Until for so long.
func Within(patience time.Duration, f func()) (inTime bool, ended <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return Until(ctx.Done(), f)
}
