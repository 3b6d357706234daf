//go:build !linux

package probe

import (
	"errors"
	"os"
	"time"
)

func freshTime(f *os.File) (time.Time, error) {
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// Locks and changes play no part in the lock on these systems.

func lock(*os.File, LockKind) (bool, error) { return false, errors.ErrUnsupported }

func lockOf(*os.File) (bool, error) { return false, errors.ErrUnsupported }

type watcher struct{}

func (*watcher) watch(string) error { return errors.ErrUnsupported }

func (*watcher) told(string, time.Duration) (bool, error) { return false, errors.ErrUnsupported }

func (*watcher) close() error { return nil }
