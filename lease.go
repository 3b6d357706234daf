package filelock

import (
	"fmt"
	"time"
)

// WithLease makes the ticket expire unless it is renewed, which a goroutine
// does while the lock is waited for or held. d is in whole seconds, at least
// one. Off by default.
//
// A lease is for owners that may stop without dying, or die out of sight: on
// another machine. After d, a quarter of it and a second more without a sign of
// life, by the observer's own monotonic clock, others take the ticket for
// dead. An owner that goes on after that learns of it from Lost, from the
// context of Do, and from Unlock; whatever it did in between, it did beside
// another holder. Without a lease, a stopped owner keeps the lock.
//
// Acquiring fails with an error that matches errors.ErrUnsupported on a
// filesystem that shows no renewal.
func WithLease(d time.Duration) Option {
	return optionFunc(func(c *config) error {
		if d < time.Second || d%time.Second != 0 || d/time.Second > 1<<31 {
			return fmt.Errorf("%w: lease %v: want whole seconds, at least one", ErrInvalid, d)
		}
		c.lease = d
		return nil
	})
}

// Lost returns a channel that is closed when the lock, as held through l now,
// is lost: its lease ran out, or its ticket was removed or changed. Without
// WithLease or WithEngine nothing watches the ticket while it is held, and a loss shows at
// Unlock only. The channel is nil, so never ready, without a lease or when
// nothing is held.
func (l *FileLock) Lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.holds) == 0 {
		return nil
	}
	return l.holds[len(l.holds)-1].lost()
}
