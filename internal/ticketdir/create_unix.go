//go:build unix

package ticketdir

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// Create makes the ticket (R1).
//
// It goes by path, while listings go by the open directory: should the path
// by now name another directory, the ticket is missing from the first listing.
func (o *Own) Create() (string, error) {
	name, err := o.create()
	if o.q.MakeDir && errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(o.q.Dir, 0o777); err != nil {
			return "", err
		}
		name, err = o.create()
	}
	return name, err
}

func (o *Own) create() (string, error) {
	h, err := openHandle(o.q.Dir)
	if err != nil {
		return "", err
	}
	fd, path, err := o.openNew(h)
	if err != nil {
		h.release()
		return "", err
	}
	o.h, o.fd, o.file, o.name = h, fd, path, path[len(o.q.Dir)+1:]
	o.placed = !o.lockless
	o.id, o.listings = fileID{}, listings{changes: 1} // nothing of a ticket before
	o.setLabel()
	if h.followsOpen {
		o.part()
	}
	return o.name, nil
}

// part closes the own ticket, whose name is enough, where the kernel asks a
// server at each close. While that does not answer, a process that has such a
// file open can neither end nor start another one. Should this fail, the first
// listing will tell.
func (o *Own) part() {
	if _, err := o.read(o.name); err == nil {
		o.close()
	}
}

func (o *Own) openNew(h *handle) (fd int, path string, err error) {
	place := h.place
	if o.lockless {
		place = 0
	}
	path, err = o.q.newPath(place)
	if outOfFiles(err) && closeAnything() {
		path, err = o.q.newPath(place)
	}
	if err != nil {
		return -1, "", err
	}
	// For reading too, or it could not take a read lock.
	flags := unix.O_CREAT | unix.O_RDWR | unix.O_NOFOLLOW
	if h.oneKernel() {
		// Elsewhere an exclusive create may keep a verifier in the file's
		// times for a while (R10). The nonce makes the name ours alone.
		flags |= unix.O_EXCL
	}
	fd, err = openat(unix.AT_FDCWD, path, flags, uint32(o.q.Mode.Perm()))
	if err == nil {
		return fd, path, nil
	}
	if err == unix.ENOENT {
		h.retire() // the directory itself is gone
	} else {
		_ = unlinkat(unix.AT_FDCWD, path) // a server may have made it and failed to say so
	}
	return -1, "", &fs.PathError{Op: "create", Path: path, Err: err}
}

// read is View.read, but for the own ticket by its descriptor. Its first call,
// in the first listing at the latest, also looks what was created.
func (o *Own) read(name string) (queue.Number, error) {
	if name != o.name {
		return o.View.read(name)
	}
	st, err := o.attributes()
	switch {
	case err == unix.ESTALE, err == unix.ENOENT:
		return queue.Number{}, queue.ErrGone
	case err != nil:
		return queue.Number{}, err
	}
	if o.id == (fileID{}) {
		if err := o.fixMode(&st); err != nil {
			return queue.Number{}, err
		}
		o.id, o.born = st.id, st.modified
	}
	if !o.final { // later ones are for Beat to compare with it
		o.number = st.modified
	}
	return st.modified, nil
}

// attributes need no open where the ticket is not open: nobody else changes it,
// so that what was cached of it is what we made it.
func (o *Own) attributes() (stat, error) {
	if o.fd < 0 {
		return freshName(o.h.fd, o.name)
	}
	return fstat(o.fd)
}

// fixMode undoes what the umask, or a default ACL, has made of the mode: others
// are to see the ticket's locks. Some filesystems keep no modes.
func (o *Own) fixMode(st *stat) error {
	mode := uint32(o.q.Mode.Perm())
	if st.permissions() == mode {
		return nil
	}
	switch err := again(func() error { return unix.Fchmod(o.fd, mode) }); {
	case err == nil:
		o.setLabel()
		return nil
	case err == unix.EPERM, err == unix.EACCES, err == unix.EROFS, err == unix.EINVAL, errors.Is(err, errors.ErrUnsupported):
		return nil
	default:
		return wrap("chmod", o.Path(), err)
	}
}
