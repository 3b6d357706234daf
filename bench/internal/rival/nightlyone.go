package rival

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/nightlyone/lockfile"

	"github.com/filelock-go/filelock/internal/wake"
)

// nightlyonePause is between two tries; the library has no waiting of its own.
const nightlyonePause = time.Millisecond

// nightlyone knows an owner by its process id, so it lets the goroutines of
// one process in together, and replaces a dead owner's file in a way that can
// let two processes in. It leaves the descriptor of each owner that it looks up to the
// collector, which is asked in time, lest there be none for the others.
var nightlyone = Rival{
	Key: "nightlyone", Name: "nightlyone/lockfile (1 ms polls)", Unsafe: true, Polls: true, Recovers: true,
	Open: func(path string) (Lock, error) {
		l, err := lockfile.New(path)
		return nightlyoneLock{l}, err
	},
}

var nightlyoneCalls atomic.Int64

// collectSometimes is for the descriptors of owners, of which each call leaves some.
func collectSometimes() {
	if nightlyoneCalls.Add(1)%2048 == 0 {
		runtime.GC()
	}
}

type nightlyoneLock struct{ l lockfile.Lockfile }

func (n nightlyoneLock) Lock(ctx context.Context) error {
	for {
		err := n.l.TryLock()
		collectSometimes()
		var temporary interface{ Temporary() bool }
		switch {
		case err == nil:
			return nil
		case errors.As(err, &temporary) && temporary.Temporary():
		case errors.Is(err, fs.ErrNotExist): // released while it was read
		default:
			return err
		}
		if err := wake.Sleep(ctx, nightlyonePause); err != nil {
			return err
		}
	}
}

// Unlock fails where another goroutine of the process has taken the lock and
// removed the file. That is counted as an overlap, not as an error.
func (n nightlyoneLock) Unlock() error {
	err := n.l.Unlock()
	collectSometimes()
	if errors.Is(err, lockfile.ErrRogueDeletion) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (n nightlyoneLock) Close() error { return nil }
