//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package flockpeer

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// Supported tells whether this system has flock(2).
const Supported = true

// newMode is the permission of a file that is not there, less the umask: that of
// gofrs/flock.
const newMode = 0o600

// lock is a file that is locked.
type lock struct {
	path string
	fd   int
	dev  uint64
	ino  uint64
}

// mostReplaced is how often in a row the file may be another one when it is locked.
// Beyond that it is the filesystem that shows one file as another each time.
const mostReplaced = 1000

// tryLock returns errRefused if a peer has the file.
func tryLock(path string, kind Kind) (*lock, error) {
	return lockFile(path, kind, unix.LOCK_NB, func() bool { return true })
}

// waitLock waits for as long as it takes, unless nobody wants it any more at a moment
// at which that can be asked.
func waitLock(path string, kind Kind, wanted func() bool) (*lock, error) {
	return lockFile(path, kind, 0, wanted)
}

func lockFile(path string, kind Kind, how int, wanted func() bool) (*lock, error) {
	for range mostReplaced {
		if l, err := lockOnce(path, kind, how); l != nil || err != nil || !wanted() {
			return l, err
		}
	}
	return nil, &fs.PathError{Op: "flock", Path: path, Err: errReplaced}
}

var errReplaced = errors.New("the path names another file whenever it is locked")

// lockOnce opens and locks the file. It returns neither a lock nor an error if the
// path names another file by then: some peers remove theirs when they leave, and who
// waited for that one has the lock of a file that nobody else will find.
func lockOnce(path string, kind Kind, how int) (*lock, error) {
	if kind == Shared {
		how |= unix.LOCK_SH
	} else {
		how |= unix.LOCK_EX
	}
	fd, err := open(path, unix.O_RDONLY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	err = flock(fd, how)
	if err == unix.EBADF || err == unix.EIO {
		// NFS makes it a lock of a range, and an exclusive one of those is for writers.
		unix.Close(fd)
		if fd, err = open(path, unix.O_RDWR); err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		err = flock(fd, how)
	}
	if err != nil {
		unix.Close(fd)
		if err == unix.EWOULDBLOCK {
			return nil, errRefused
		}
		return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	l := &lock{path: path, fd: fd}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		l.dev, l.ino = uint64(st.Dev), st.Ino
		same, looked := l.named()
		if same {
			return l, nil
		}
		err = looked
	}
	l.close()
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return nil, nil
}

// open makes the file if it is missing. It does not ask for that otherwise: in a
// sticky directory the kernel refuses it for a file of somebody else's
// (fs.protected_regular). What is there may be anything, and is not waited for.
func open(path string, access int) (fd int, err error) {
	for spare := true; ; {
		fd, err = openOnly(path, access)
		if err == unix.ENOENT {
			fd, err = openOnly(path, access|unix.O_CREAT)
			if err == unix.EACCES { // somebody was quicker
				if there, second := openOnly(path, access); second != unix.ENOENT {
					fd, err = there, second
				}
			}
		}
		switch {
		case err == unix.EINTR:
		case spare && (err == unix.EMFILE || err == unix.ENFILE):
			ticketdir.Spare()
			ticketdir.CloseIdle()
			spare = false
		default:
			return fd, err
		}
	}
}

func openOnly(path string, flags int) (int, error) {
	return unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, newMode)
}

func flock(fd, how int) error {
	for {
		if err := unix.Flock(fd, how); err != unix.EINTR {
			return err
		}
	}
}

// named reports whether the path names this file.
func (l *lock) named() (bool, error) {
	var st unix.Stat_t
	err := unix.Stat(l.path, &st)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return false, nil
	}
	return err == nil && uint64(st.Dev) == l.dev && st.Ino == l.ino, err
}

// close gives the lock up before it closes the file: a child that is just being
// started has it open, too.
func (l *lock) close() {
	_ = flock(l.fd, unix.LOCK_UN)
	unix.Close(l.fd)
}

// release is close, and turn.ErrLost if the path does not name the file any more.
func (l *lock) release() error {
	named, err := l.named()
	l.close()
	if err == nil && !named {
		return fmt.Errorf("%w: %s, which it has a flock on, was removed or replaced", turn.ErrLost, l.path)
	}
	return nil
}
