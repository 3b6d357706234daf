//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package flockpeer

import (
	"fmt"
	"io/fs"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// Supported tells whether this system has flock(2).
const Supported = true

// newMode is the permission of a file that is not there, less the umask: that of
// gofrs/flock.
const newMode = 0o600

// lock is a file that is locked, or about to be.
type lock struct {
	path string
	fd   int
	dev  uint64
	ino  uint64

	users    atomic.Int32  // of fd: who has the lock, and a call that waits with it
	returned chan struct{} // closed when that call has returned; nil: there was none
}

// lockOnce opens and locks the file. begin, if any, is told of it in between. If the
// error is one of locking, the file is returned with it, and has yet to be closed.
//
// The error is errRefused if a peer has the file, and errAgain if the path names
// another one by now: some peers remove theirs when they leave, and who waited for that
// one has the lock of a file that nobody else will find. It is errAgain, too, if the
// file must be writable: NFS makes it a lock of a range, and an exclusive one of those
// is for writers.
func lockOnce(path string, h *how, begin func(*lock)) (*lock, error) {
	access := unix.O_RDONLY
	if h.writes {
		access = unix.O_RDWR
	}
	fd, err := open(path, access)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	l := &lock{path: path, fd: fd}
	l.users.Store(1)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		l.unuse()
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	l.dev, l.ino = uint64(st.Dev), st.Ino
	if begin != nil {
		begin(l)
	}
	switch err := l.flock(h.kind, h.waits); {
	case err == unix.EWOULDBLOCK:
		return l, errRefused
	case (err == unix.EBADF || err == unix.EIO) && !h.writes:
		h.writes = true
		return l, errAgain
	case err != nil:
		return l, &fs.PathError{Op: "flock", Path: path, Err: err}
	}
	switch named, err := l.named(); {
	case err != nil:
		return l, &fs.PathError{Op: "stat", Path: path, Err: err}
	case !named:
		return l, errAgain
	}
	return l, nil
}

// flock locks the open file. It fails with a system's error.
func (l *lock) flock(kind Kind, waits bool) error {
	how := unix.LOCK_EX
	if kind == Shared {
		how = unix.LOCK_SH
	}
	if !waits {
		how |= unix.LOCK_NB
	}
	return flock(l.fd, how)
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

// close gives the lock up, also while a call has yet to return: that closes the file then.
func (l *lock) close() {
	if l.users.Load() > 1 {
		_ = flock(l.fd, unix.LOCK_UN)
	}
	l.unuse()
}

// unuse closes the file if nobody else uses it. It gives the lock up first: a child that
// is just being started has the file open, too.
func (l *lock) unuse() {
	if l.users.Add(-1) == 0 {
		_ = flock(l.fd, unix.LOCK_UN)
		unix.Close(l.fd)
	}
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
