//go:build unix

package ticketdir

import (
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// Settle tells others that the owner lives, if it is going to wait. If it is
// not, it enters at once, and the entry lock tells more. Where a lock is a
// message to a server, that may never come back, there is none: there others
// learn of the owner by its process.
func (o *Own) Settle(waits bool) error {
	o.waited = waits
	if waits && o.Entries() {
		if err := o.lock(takeWitness); err != nil {
			return err
		}
		o.witnessed = true
	}
	var st stat
	if waits || o.q.Lease > 0 || !o.h.oneKernel() {
		var err error
		if st, err = o.unmoved(); err != nil {
			return err
		}
	}
	o.times.Lock()
	o.final = true
	o.times.Unlock()
	if o.q.Lease == 0 {
		return nil
	}
	return o.showRenewal(st.beat())
}

// Enter takes the entry lock and then looks the name up (R13): whoever removes
// the ticket has a lock on it meanwhile, so that either we do not get ours, or we
// find the name gone.
//
// Where there are no entry locks it looks the name up, unless Settle has just
// done so.
func (o *Own) Enter() (queue.Number, error) {
	if o.Entries() {
		if err := o.lock(takeEntry); err != nil {
			return queue.Number{}, err
		}
		o.entered = true
		if o.marked {
			return o.comeBack()
		}
	} else if o.placed && o.h.entries() {
		// It was made when there were locks, and others would miss its entry lock.
		return queue.Number{}, queue.ErrGone
	} else if !o.waited && !o.h.oneKernel() {
		return o.number, nil
	}
	st, err := o.standing()
	return st.modified, err
}

// comeBack is the end of Enter for a ticket that rested. It is looked up by its
// path: newcomers may have another directory there by now.
func (o *Own) comeBack() (queue.Number, error) {
	o.resumed()
	st, err := fstatat(unix.AT_FDCWD, o.Path(), unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT, err == unix.ENOTDIR, err == nil && st.id != o.id:
		return queue.Number{}, queue.ErrGone
	case err != nil:
		return queue.Number{}, wrap("stat", o.Path(), err)
	}
	if st.accessed != restMark {
		o.marked = false // somebody has read the file
	}
	return st.modified, nil
}

// byName is at how many returns to a ticket its name is looked up once. A look along the
// path takes twice as long as one at the open file, and tells one thing more: that the
// path leads to another directory, because one further up was renamed or something
// is mounted there. (A directory that is itself renamed has other times then, but on FAT.)
const byName = 64

// Reenter is Enter for a ticket that rests. The open file tells that nobody has removed
// it, by the number of its names: R13 lets nobody do so from now on. Where there were
// more names than one, that would not tell; and one that has lost its mark is not known
// any more to have rested.
func (o *Own) Reenter() (queue.Number, error) {
	if o.returns++; o.returns%byName == 0 {
		return o.Enter()
	}
	if err := o.lock(takeEntry); err != nil {
		return queue.Number{}, err
	}
	o.entered = true
	switch st, err := o.h.fstat(o.fd); {
	case err != nil:
		return queue.Number{}, wrap("stat", o.Path(), err)
	case st.nlink == 0:
		return queue.Number{}, queue.ErrGone
	case st.nlink > 1 || st.accessed != restMark:
		return o.Enter()
	default:
		o.resumed()
		return st.modified, nil
	}
}

// lock takes a lock on the own ticket. If somebody else has it, or there are no
// locks, the ticket is to be made again: in the second case with no place in its
// name, so that free locks are not held against its owner.
func (o *Own) lock(take func(fd int) error) error {
	switch err := take(o.fd); {
	case err == nil:
		return nil
	case noLocks(err):
		o.lockless = true
		return queue.ErrGone
	case refused(err):
		return keptError{}
	default:
		return wrap("lock", o.Path(), err)
	}
}

// keptError says that somebody has a lock on the own ticket, who removes it or
// keeps us from it. Either way it is of no more use than one that is gone.
type keptError struct{}

func (keptError) Error() string { return "ticketdir: somebody else has locked the own ticket" }

func (keptError) Is(target error) bool { return target == queue.ErrGone }

// standing returns what the own name names, or ErrGone if that is not the own
// ticket. The open file does not tell: it may have been linked elsewhere, NFS
// renames what is removed while it is open, and SMB says nothing.
func (o *Own) standing() (stat, error) {
	if o.id == (fileID{}) { // not listed yet
		if _, err := o.read(o.name); err != nil {
			return stat{}, wrap("stat", o.Path(), err)
		}
	}
	st, err := o.h.look(o.name)
	switch {
	case err == fs.ErrNotExist || err == unix.ESTALE:
		return st, queue.ErrGone
	case err != nil:
		return st, wrap("stat", o.Path(), err)
	case st.id != o.id && !o.h.followsOpen: // a FUSE server may number files as it likes
		return st, queue.ErrGone
	}
	return st, nil
}

// unmoved is standing, with the number that was last read.
func (o *Own) unmoved() (stat, error) {
	st, err := o.standing()
	if err == nil && st.modified != o.number {
		err = queue.ErrMoved
	}
	return st, err
}
