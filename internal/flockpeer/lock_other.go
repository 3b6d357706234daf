//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package flockpeer

import "errors"

// Supported tells whether this system has flock(2).
const Supported = false

type lock struct{}

func tryLock(string, Kind) (*lock, error) { return nil, errors.ErrUnsupported }

func waitLock(string, Kind, func() bool) (*lock, error) { return nil, errors.ErrUnsupported }

func (l *lock) release() error { return nil }
