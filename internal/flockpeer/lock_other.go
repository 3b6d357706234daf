//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package flockpeer

import (
	"errors"
	"sync/atomic"
)

// Supported tells whether this system has flock(2).
const Supported = false

type lock struct {
	users    atomic.Int32
	returned chan struct{}
}

func lockOnce(string, *how, func(*lock)) (*lock, error) { return nil, errors.ErrUnsupported }

func (l *lock) flock(Kind, bool) error { return errors.ErrUnsupported }

func (l *lock) named() (bool, error) { return false, errors.ErrUnsupported }

func (l *lock) close() {}

func (l *lock) unuse() {}

func (l *lock) release() error { return nil }
