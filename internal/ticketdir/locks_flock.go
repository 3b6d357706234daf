//go:build unix && !linux

package ticketdir

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
)

// These systems have one lock a file that belongs to the open description. It
// is the witness; there is no entry lock.
const hasEntries = false

func setLock(fd, how int) error { return again(func() error { return flock(fd, how) }) }

func takeEntry(int) error                { return unix.ENOTSUP }
func giveUpEntry(int) error              { return nil }
func barEntry(int) error                 { return unix.ENOTSUP }
func unbarEntry(int) error               { return nil }
func entryOf(int) (liveness.Lock, error) { return liveness.Unseen, nil }
func goToRest(fd int) error              { return giveUpLocks(fd) }
func giveUpLocks(fd int) error           { return setLock(fd, unix.LOCK_UN) }

// takeWitness locks the ticket. A prober may have the lock for some
// microseconds.
func takeWitness(fd int) error {
	const spins, patience = 100, 200
	for try := 0; ; try++ {
		err := setLock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case !refused(err) || try >= patience:
			return err
		case try < spins:
			runtime.Gosched()
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

func witnessOf(fd int) (liveness.Lock, error) {
	switch err := setLock(fd, unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return liveness.Free, setLock(fd, unix.LOCK_UN)
	case refused(err):
		return liveness.Held, nil
	case noLocks(err):
		return liveness.Unseen, nil
	default:
		return liveness.Unseen, err
	}
}
