//go:build unix

package ticketdir

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Other is another's ticket, kept open. It may outlive the View that it came from.
type Other struct {
	h    *handle
	name string
	fd   int
}

// OpenOther opens another's ticket. fs.ErrNotExist: it is gone, or no ticket.
// fs.ErrPermission: it is not for us to read. The caller owes a Close.
func (v *View) OpenOther(name string) (*Other, error) {
	fd, err := v.h.openTicket(name)
	if err != nil {
		return nil, wrap("open", v.path(name), err)
	}
	if err := v.h.isTicket(fd, name); err != nil {
		unix.Close(fd)
		return nil, wrap("stat", v.path(name), err)
	}
	v.h.use()
	return &Other{h: v.h, name: name, fd: fd}, nil
}

// isTicket returns nil for an open ticket that has a name.
func (h *handle) isTicket(fd int, name string) error {
	switch st, err := fstat(fd); {
	case err != nil:
		return h.unlessGone(name, err)
	case !st.regular():
		return fs.ErrNotExist
	case h.oneKernel() && st.nlink == 0:
		// The kernel tells of a removal a moment before the name is gone, so
		// that one who is quick may still open it.
		return fs.ErrNotExist
	}
	return nil
}

// Name returns the ticket's name.
func (o *Other) Name() string { return o.name }

// Close ends the use of the ticket.
func (o *Other) Close() {
	if o.fd >= 0 {
		unix.Close(o.fd)
		o.fd = -1
		o.h.release()
	}
}

func (o *Other) path() string { return o.h.path + "/" + o.name }

// Look reads the ticket's locks and then its number, so that the number is not
// older than what they tell of its owner. Where the entry is held, so is the
// witness.
func (o *Other) Look() (p Probe, err error) {
	if p.Entry, p.Witness, err = o.locks(); err != nil {
		return p, wrap("lock", o.path(), err)
	}
	read := fstat
	if !o.h.oneKernel() {
		read = freshFile
	}
	st, err := read(o.fd)
	switch {
	case err == nil:
	case o.h.entries(): // the owner may be inside even if the name is gone
		return p, wrap("stat", o.path(), notAbsent(err))
	default:
		return p, wrap("stat", o.path(), o.h.unlessGone(o.name, err))
	}
	p.Number, p.Beat, p.Nameless = st.modified, st.beat(), st.nlink == 0
	p.Marked = o.h.entries() && st.accessed == restMark
	return p, nil
}

func (o *Other) locks() (entry, witness liveness.Lock, err error) {
	if o.h.entries() {
		if entry, err = entryOf(o.fd); err != nil || entry == liveness.Held {
			return entry, entry, err
		}
	}
	witness, err = witnessOf(o.fd)
	return entry, witness, err
}

// Entered reports whether the entry is held. Where that cannot be seen, it is an
// error.
func (o *Other) Entered() (bool, error) {
	entry, err := entryOf(o.fd)
	if err == nil && entry == liveness.Unseen {
		err = unix.ENOLCK
	}
	return entry == liveness.Held, wrap("lock", o.path(), err)
}

// Reclaim removes another's ticket while it keeps the owner from the entry lock (R13):
// an owner that goes on meanwhile finds its name gone before it is inside.
// ErrInside: the owner was there first. A ticket whose owner has no entry lock
// is just removed.
func (v *View) Reclaim(o *Other) error { return v.reclaim(o, func() error { return nil }) }

// ReclaimAtRest is Reclaim for a ticket that rested when it was looked at (R14).
// ErrInside: it rests no more. Its owner cannot change that meanwhile.
func (v *View) ReclaimAtRest(o *Other) error {
	return v.reclaim(o, func() error {
		st, err := fstat(o.fd)
		if err == nil && st.accessed != restMark {
			err = ErrInside
		}
		return wrap("stat", o.path(), err)
	})
}

func (v *View) reclaim(o *Other, check func() error) error {
	if n, _ := ticket.Parse(v.q.Prefix, o.name); n.Place != 0 && v.h.entries() {
		switch err := barEntry(o.fd); {
		case refused(err):
			return ErrInside
		case err != nil:
			return wrap("lock", o.path(), err)
		}
		defer func() { _ = unbarEntry(o.fd) }()
		if err := check(); err != nil {
			return err
		}
	}
	return v.RemoveDead(o.name)
}
