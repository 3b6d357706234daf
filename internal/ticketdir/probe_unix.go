//go:build unix

package ticketdir

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// heldProbe is a probe's open ticket; while the witness was found free, it
// holds the lock that the owner would take.
type heldProbe struct {
	fd int // -1 where the ticket cannot be opened
}

// View is a queue as anybody may look at it.
type View struct {
	q Queue
	h *handle
}

// Open returns a view of the queue. The caller owes a Close.
func Open(q Queue) (*View, error) {
	h, err := openHandle(q.Dir)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Stat(q.Dir, &st); err == nil && uint64(st.Dev) == h.dev && uint64(st.Ino) == h.ino {
		return &View{q: q, h: h}, nil
	}
	h.retire() // the path names another directory by now
	h.release()
	if h, err = openHandle(q.Dir); err != nil {
		return nil, err
	}
	return &View{q: q, h: h}, nil
}

// Close ends the view.
func (v *View) Close() { v.h.release() }

// OneKernel reports whether the kernel sees every change of the directory.
func (v *View) OneKernel() bool { return v.h.oneKernel }

// List returns the queue's tickets, in no order.
func (v *View) List() ([]queue.Ticket, error) {
	var entries []entry
	if err := v.h.names(&v.q, "", nil, &entries); err != nil {
		return nil, wrap("list", v.q.Dir, err)
	}
	tickets, raised, err := v.numbers(entries, nil, v.read)
	ticket.Merge(tickets, raised)
	return tickets, err
}

// numbers reads the numbers of a listing's entries.
func (v *View) numbers(entries []entry, to []queue.Ticket, read func(string) (queue.Number, error)) (tickets []queue.Ticket, raised []string, err error) {
	for _, e := range entries {
		if e.raised {
			raised = append(raised, e.name)
			continue
		}
		if e.numbered {
			to = append(to, queue.Ticket{Name: e.name, Number: e.number, Plain: e.plain})
			continue
		}
		number, err := read(e.name)
		switch {
		case err == nil:
			to = append(to, queue.Ticket{Name: e.name, Number: number, Plain: e.plain})
		case !passed(err):
			return nil, nil, wrap("stat", v.q.Dir+"/"+e.name, err)
		}
	}
	return to, raised, nil
}

// read reads a ticket's modification time. Where attributes are cached, only
// an open asks the server for them.
func (v *View) read(name string) (queue.Number, error) {
	var st unix.Stat_t
	err := error(unix.EACCES)
	if !v.h.oneKernel {
		var fd int
		if fd, err = v.h.openTicket(name); err == nil {
			err = unix.Fstat(fd, &st)
			unix.Close(fd)
		}
	}
	if err == unix.EACCES || err == unix.EPERM {
		err = unix.Fstatat(v.h.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errNotRegular
	}
	return numberOf(st.Mtim), err
}

// Probe looks at another's ticket. fs.ErrNotExist: it is gone, or no ticket.
// The caller owes a Release.
func (v *View) Probe(name string) (Probe, error) {
	p := Probe{Place: v.h.place, OneKernel: v.h.oneKernel, held: heldProbe{fd: -1}}
	fd, err := v.h.openTicket(name)
	if err == nil {
		p.held.fd = fd
		p.Number, p.Beat, err = v.h.fresh(fd)
	} else if err == unix.EACCES || err == unix.EPERM {
		// Not ours to read: do without the witness. For want of anything else,
		// as a descriptor, the witness may be held, and nobody is dead.
		var st unix.Stat_t
		if err = unix.Fstatat(v.h.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			p.Number, p.Beat, err = timesOf(&st)
		}
	}
	if err != nil {
		v.Release(&p)
		if passed(err) {
			return p, fs.ErrNotExist // at every hand-off: no words for it
		}
		return p, wrap("open", v.q.Dir+"/"+name, err)
	}
	if p.held.fd >= 0 {
		if p.Witness, err = probeWitness(p.held.fd); err != nil {
			v.Release(&p)
			return p, wrap("lock", v.q.Dir+"/"+name, err)
		}
	}
	return p, nil
}

func fstat(fd int) (queue.Number, Beat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return queue.Number{}, Beat{}, err
	}
	return timesOf(&st)
}

func timesOf(st *unix.Stat_t) (queue.Number, Beat, error) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return queue.Number{}, Beat{}, errNotRegular
	}
	if st.Nlink == 0 {
		// The kernel tells of a removal a moment before the name is gone.
		return queue.Number{}, Beat{}, unix.ENOENT
	}
	return numberOf(st.Mtim), beatOf(st), nil
}

func probeWitness(fd int) (liveness.Witness, error) {
	for {
		switch err := flock(fd, unix.LOCK_SH|unix.LOCK_NB); {
		case err == nil:
			return liveness.WitnessFree, nil
		case err == unix.EINTR:
		case err == unix.EWOULDBLOCK, err == unix.EACCES: // EACCES is how CIFS says it
			return liveness.WitnessHeld, nil
		case noLocks(err):
			return liveness.WitnessNone, nil
		default:
			return liveness.WitnessNone, err
		}
	}
}

// Release ends the probe, and gives the witness back.
func (v *View) Release(p *Probe) {
	if p.held.fd >= 0 {
		unix.Close(p.held.fd)
		p.held.fd = -1
	}
}

// Reclaim removes a dead owner's ticket, while the probe's lock on it lasts:
// an owner that was only late to take its witness finds its ticket gone when
// it gets the lock, and has not decided anything yet.
func (v *View) Reclaim(name string, p *Probe) error {
	if p.held.fd < 0 && p.Witness == liveness.WitnessFree {
		return wrap("remove", v.q.Dir+"/"+name, fs.ErrClosed)
	}
	err := unix.Unlinkat(v.h.fd, name, 0)
	if err == unix.ENOENT {
		err = nil
	}
	if err != nil {
		return wrap("remove", v.q.Dir+"/"+name, err)
	}
	return nil
}

var _ queue.Directory = (*Own)(nil)
