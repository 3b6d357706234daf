//go:build unix

package ticketdir

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
)

// HasWitness tells whether tickets can be left to heirs on this system.
const HasWitness = true

// Shared reports whether others may have the open ticket: somebody asked for the
// witness.
func (o *Own) Shared() bool {
	o.times.Lock()
	defer o.times.Unlock()
	return o.lent
}

// Bequeath leaves the ticket and its locks to whoever else has it open, and
// reports whether anybody has. If not, the ticket is removed. Whatever it returns,
// this one is of no more use:
//
//   - ErrGone: the ticket had been taken away before, so that others may be inside;
//   - any other error: nobody knows. RemoveUnheld finds out.
//
// The locks are not given up but closed, since they are the heirs' too: with the
// last descriptor they end, also if that happens while this goes on. From then on
// nobody can have them any more, so that to find them free is proof enough, and
// the kernel has told those who watch the ticket.
func (o *Own) Bequeath() (heirs bool, err error) {
	if o.h == nil {
		return false, nil
	}
	o.times.Lock()
	defer o.times.Unlock()
	o.final = false
	_, stands := o.standing()
	if stands == nil {
		o.tidied = o.markForHeirs()
	}
	o.close()
	if errors.Is(stands, queue.ErrGone) {
		err = stands
	} else {
		heirs, err = o.RemoveUnheld(o.name)
	}
	if err == nil && !heirs {
		for _, name := range o.raised {
			_ = unlinkat(o.h.fd, name)
		}
	}
	o.h.release()
	o.h, o.raised = nil, nil
	return heirs, err
}

// Tidied reports, after Bequeath, whether the next contender removes the ticket at
// sight once no heir is left. Elsewhere that is for the bequeather to do for as
// long as it lives: its process shows it to be alive, or nobody else may remove it.
func (o *Own) Tidied() bool { return o.tidied }

// markForHeirs makes the ticket one that rests as soon as its entry lock is free
// (R14), and reports whether others see and remove it then. It is still inside.
func (o *Own) markForHeirs() bool {
	if !o.reclaimable() || o.h.marks.Load() == marksLost {
		return false
	}
	if err := o.setBoth(restMark, o.number); err != nil {
		return false
	}
	st, err := o.unmoved()
	return err == nil && st.accessed == restMark
}

// RemoveUnheld removes a ticket that was left to heirs if none of them has it open
// any more, and reports whether one has.
func (v *View) RemoveUnheld(name string) (held bool, err error) {
	o, err := v.OpenOther(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer o.Close()
	probe, err := o.Look()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case probe.Entry == liveness.Held, probe.Witness == liveness.Held:
		return true, nil
	case probe.Witness == liveness.Unseen, v.h.entries() && probe.Entry == liveness.Unseen:
		return false, wrap("lock", o.path(), unix.ENOLCK)
	}
	err = v.Reclaim(o)
	if errors.Is(err, ErrInside) {
		return true, nil
	}
	return false, err
}
