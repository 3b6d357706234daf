//go:build unix

package ticketdir

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// toRead opens another's ticket: no link is followed, and whatever stands there,
// the open does not block.
const toRead = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY

// openat is close-on-exec. If there is no descriptor left, our idle ones are
// given up.
func openat(dir int, path string, flags int, mode uint32) (int, error) {
	for spare := true; ; {
		fd, err := unix.Openat(dir, path, flags|unix.O_CLOEXEC, mode)
		switch {
		case err == unix.EINTR:
		case spare && outOfFiles(err) && closeAnything():
			spare = false
		default:
			return fd, err
		}
	}
}

func openDir(dir int, path string) (int, error) {
	return openat(dir, path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

func unlinkat(dir int, name string) error {
	return again(func() error { return unix.Unlinkat(dir, name, 0) })
}

// tries is how often what answers ESTALE is asked again: another client's
// removal is only half known here then.
const tries = 3

// openTicket opens another's ticket. fs.ErrNotExist: it is gone, or there is
// something else than a regular file.
func (h *handle) openTicket(name string) (fd int, err error) {
	for range tries {
		if fd, err = openat(h.fd, name, toRead, 0); err != unix.ESTALE {
			break
		}
	}
	switch err {
	case nil:
		return fd, nil
	case unix.ENOENT:
		return -1, fs.ErrNotExist
	default:
		return -1, h.unlessGone(name, err)
	}
}

// unlessGone returns err, or fs.ErrNotExist if there is proof that the name is
// no ticket's (any more). The answers to an open of a link, a FIFO, a socket or
// a device differ, and servers give the same ones for reasons of their own: only
// that there is no such name, or no regular file, proves anything. That an open
// file is not there proves as little, and is not passed on as such.
func (h *handle) unlessGone(name string, err error) error {
	err = notAbsent(err)
	switch st, second := fstatat(h.fd, name, unix.AT_SYMLINK_NOFOLLOW); {
	case second == unix.ENOENT, second == nil && !st.regular():
		return fs.ErrNotExist
	}
	return err
}

// notAbsent returns what an open file was answered with, so that nobody takes it for
// an answer about the name.
func notAbsent(err error) error {
	if err == unix.ENOENT {
		return unix.ESTALE
	}
	return err
}

// look reads another's ticket's attributes as they are now, fs.ErrNotExist as
// in openTicket.
func (h *handle) look(name string) (st stat, err error) {
	for range tries {
		if st, err = h.attributes(name); err != unix.ESTALE {
			break
		}
	}
	switch {
	case err == nil && st.regular():
		return st, nil
	case err == nil, err == unix.ENOENT:
		return st, fs.ErrNotExist
	default:
		return st, err
	}
}

// attributes opens the ticket only where that makes a difference, since an open
// may hang, and raises events on others' watches.
func (h *handle) attributes(name string) (stat, error) {
	switch {
	case h.oneKernel():
		return fstatat(h.fd, name, unix.AT_SYMLINK_NOFOLLOW)
	case !h.followsOpen:
		return freshName(h.fd, name)
	}
	fd, err := h.openTicket(name)
	switch {
	case err == unix.EACCES || err == unix.EPERM:
		return freshName(h.fd, name)
	case err != nil:
		return stat{}, err
	}
	defer unix.Close(fd)
	st, err := freshFile(fd)
	if err != nil {
		err = h.unlessGone(name, err)
	}
	return st, err
}
