//go:build unix

package ticketdir

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// View is a queue as anybody may look at it.
type View struct {
	q Queue
	h *handle
	// lockless: this process was told that there are no locks here.
	lockless bool
}

// Open returns a view of the queue. The caller owes a Close.
func Open(q Queue) (*View, error) {
	h, err := openHandle(q.Dir)
	if err != nil {
		return nil, err
	}
	if st, err := fstatat(unix.AT_FDCWD, q.Dir, 0); err == nil && st.id == h.id {
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
func (v *View) OneKernel() bool { return v.h.oneKernel() }

// Entries reports whether R13 applies: tickets have entry locks, and this
// process can take its own.
func (v *View) Entries() bool { return v.h.entries() && !v.lockless }

// Tells reports whether the locks of a ticket made at that place are seen here.
func (v *View) Tells(owner liveness.Place) bool { return v.h.filesystem.Tells(owner) }

// FollowsOpen reports whether a look at a ticket's number opens the ticket.
func (v *View) FollowsOpen() bool { return !v.h.oneKernel() && v.h.followsOpen }

// Stat reads another's ticket's number, beat and mark as they are now. It looks at no
// lock. fs.ErrNotExist: it is gone, or no ticket.
func (v *View) Stat(name string) (Probe, error) {
	st, err := v.h.look(name)
	if err != nil {
		return Probe{}, wrap("stat", v.path(name), err)
	}
	return Probe{Number: st.modified, Beat: st.beat(), Marked: v.h.entries() && st.accessed == restMark}, nil
}

func (v *View) path(name string) string { return v.q.Dir + "/" + name }

// RemoveDead removes another's ticket without a look at its locks.
func (v *View) RemoveDead(name string) error {
	if err := unlinkat(v.h.fd, name); err != nil && err != unix.ENOENT {
		return wrap("remove", v.path(name), err)
	}
	return nil
}

// List returns the queue's tickets, in no order.
func (v *View) List() ([]queue.Ticket, error) {
	var entries []entry
	if err := v.h.names(&v.q, "", nil, &entries); err != nil {
		return nil, wrap("list", v.q.Dir, err)
	}
	tickets, _, err := v.numbers(entries, nil, v.read)
	return tickets, err
}

func (v *View) read(name string) (queue.Number, error) {
	st, err := v.h.look(name)
	return st.modified, err
}

// numbers reads the numbers of a listing's entries.
func (v *View) numbers(entries []entry, to []queue.Ticket, read func(string) (queue.Number, error)) ([]queue.Ticket, litter, error) {
	var raised []string
	var l litter
	for _, e := range entries {
		switch {
		case e.kind == isRaised:
			raised = append(raised, e.name)
			continue
		case e.kind == isScratch:
			l.scratches = append(l.scratches, e.name)
			continue
		}
		if !e.numbered {
			var err error
			switch e.number, err = read(e.name); {
			case err == fs.ErrNotExist:
				continue
			case err != nil:
				return nil, l, wrap("stat", v.path(e.name), err)
			}
		}
		to = append(to, queue.Ticket{Name: e.name, Number: e.number, Plain: e.plain, Shared: e.shared})
	}
	var err error
	l.orphans, err = v.merge(to, raised)
	return to, l, err
}

// merge gives tickets the numbers of their raised entries (R10), if those are
// their owner's: anybody may make a file of any name. Where one kernel sees
// everything, nobody needs such entries, and none counts.
func (v *View) merge(tickets []queue.Ticket, raised []string) (orphans []string, err error) {
	orphans = ticket.MergeIf(tickets, raised, func(entry, name string) bool {
		if v.h.oneKernel() || err != nil {
			return false
		}
		var same bool
		same, err = v.sameOwner(entry, name)
		return same
	})
	return orphans, err
}

// sameOwner reports false if one of the two is gone: an owner removes its ticket
// first.
func (v *View) sameOwner(entry, name string) (bool, error) {
	var uids [2]uint32
	for i, file := range [...]string{entry, name} {
		st, err := fstatat(v.h.fd, file, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case err == unix.ENOENT, err == nil && !st.regular():
			return false, nil
		case err != nil:
			return false, wrap("stat", v.path(file), err)
		}
		uids[i] = st.uid
	}
	return uids[0] == uids[1], nil
}
