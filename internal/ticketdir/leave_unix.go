//go:build unix

package ticketdir

import (
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// Remove removes the ticket, then its raised entries. After an error other
// than ErrGone the ticket is still there, and Remove may be called again; but
// the owner is inside no more.
func (o *Own) Remove() error {
	if o.h == nil {
		return nil
	}
	o.times.Lock() // no heartbeat meanwhile, nor after
	defer o.times.Unlock()
	o.final = false
	ours := o.marked && o.entered && o.stands()
	if o.entered || o.witnessed && o.h.entries() {
		// First, so that who keeps the ticket open finds the locks free as soon as
		// it hears of the removal, which takes this processor from us more often
		// than not. They end with the descriptor in any case, but for heirs, who must
		// not seem to be inside. (Without this call a free passage takes a fortieth
		// less, and two processes in turn a tenth more. Should somebody just now
		// remove the ticket as that of a stalled one, it seems to have been lost. The
		// next one is let in rightly.)
		_ = giveUpLocks(o.fd)
		o.entered, o.witnessed = false, false
	}
	if !o.h.oneKernel() {
		o.close() // NFS only renames a file that is open
	}
	gone, err := o.unlink()
	if err != nil {
		return wrap("remove", o.Path(), err)
	}
	for _, name := range o.raised {
		_ = unlinkat(o.h.fd, name)
	}
	o.close()
	o.h.release()
	o.h, o.raised = nil, nil
	if gone && !ours {
		return queue.ErrGone
	}
	return nil
}

// stands reports whether the ticket is there. It may be looked at before the entry
// lock of a marked ticket is given up: from then on anybody may remove it, and no
// turn was lost by that.
func (o *Own) stands() bool {
	_, err := o.standing()
	return err == nil
}

func (o *Own) unlink() (gone bool, err error) {
	err = unlinkat(o.h.fd, o.name)
	if disconnected(err) {
		// Another filesystem may be mounted there by now, and the ticket be in it.
		// That it is not proves nothing about the one that was there.
		o.h.retire()
		if unlinkat(unix.AT_FDCWD, o.Path()) == nil {
			return false, nil
		}
		return false, err
	}
	if err == unix.ENOENT || err == unix.ESTALE {
		// Perhaps it was made in another directory than the open one.
		err = unlinkat(unix.AT_FDCWD, o.Path())
		if err == unix.ENOENT || err == unix.ENOTDIR {
			return true, nil
		}
	}
	return false, err
}

func (o *Own) close() {
	if o.fd >= 0 {
		unix.Close(o.fd)
		o.fd, o.entered, o.witnessed = -1, false, false
	}
}

// Quit gives up all locks of a ticket that cannot be removed, and lets its lease
// run out: others may remove it then, and must not take its owner for one that
// waits. It closes the ticket, which is what they hear. Remove may still be
// called.
func (o *Own) Quit() error {
	if o.h == nil {
		return nil
	}
	o.times.Lock()
	defer o.times.Unlock()
	o.final = false
	var err error
	if o.entered || o.witnessed { // heirs may have the file open
		err = wrap("lock", o.Path(), giveUpLocks(o.fd))
	}
	o.close()
	return err
}
