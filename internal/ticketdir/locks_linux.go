package ticketdir

import (
	"io"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
)

// A ticket has two locks, both of its owner's open description, so that whoever
// inherits the descriptor has them too, and they end with the last copy. The
// entry is a write lock on the first byte. The witness is a read lock on the
// second one: who may only read can never keep the owner from it; and it is
// looked at without being taken.
const (
	entryByte   = 0
	witnessByte = 1
	hasEntries  = true
)

// ofd makes one call for the lock of a part of a file, and returns the type of
// what is in the way, if asked for that. atOnce: see fcntlAtOnce. It is a variable for
// the tests of filesystems without locks.
var ofd = func(fd, cmd int, lock int16, start, length int64, atOnce bool) (inTheWay int16, err error) {
	l := unix.Flock_t{Type: lock, Whence: io.SeekStart, Start: start, Len: length}
	if atOnce {
		err = fcntlAtOnce(fd, cmd, &l)
	} else {
		err = unix.FcntlFlock(uintptr(fd), cmd, &l)
	}
	return l.Type, err
}

func setLock(fd int, lock int16, start, length int64, atOnce bool) error {
	for {
		if _, err := ofd(fd, unix.F_OFD_SETLK, lock, start, length, atOnce); err != unix.EINTR {
			return err
		}
	}
}

// getLock tells whether a lock could not be had. Where locks do not work,
// nothing was seen, which is no error.
func getLock(fd int, lock int16, start int64) (liveness.Lock, error) {
	for {
		switch inTheWay, err := ofd(fd, unix.F_OFD_GETLK, lock, start, 1, false); {
		case err == unix.EINTR:
		case noLocks(err):
			return liveness.Unseen, nil
		case err != nil:
			return liveness.Unseen, err
		case inTheWay == unix.F_UNLCK:
			return liveness.Free, nil
		default:
			return liveness.Held, nil
		}
	}
}

// Entry locks, and rest, are only where no server is asked.
func takeEntry(fd int) error   { return setLock(fd, unix.F_WRLCK, entryByte, 1, true) }
func giveUpEntry(fd int) error { return setLock(fd, unix.F_UNLCK, entryByte, 1, true) }
func goToRest(fd int) error    { return setLock(fd, unix.F_UNLCK, entryByte, 2, true) }
func takeWitness(fd int) error { return setLock(fd, unix.F_RDLCK, witnessByte, 1, false) }
func giveUpLocks(fd int) error { return setLock(fd, unix.F_UNLCK, entryByte, 2, false) }

// barEntry keeps the owner from its entry lock, until unbarEntry.
func barEntry(fd int) error   { return setLock(fd, unix.F_RDLCK, entryByte, 1, true) }
func unbarEntry(fd int) error { return giveUpEntry(fd) }

// entryOf does not see another remover's lock.
func entryOf(fd int) (liveness.Lock, error) { return getLock(fd, unix.F_RDLCK, entryByte) }

func witnessOf(fd int) (liveness.Lock, error) { return getLock(fd, unix.F_WRLCK, witnessByte) }
