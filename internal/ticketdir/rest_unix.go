//go:build unix

package ticketdir

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// restMark is the access time of a ticket that may be resting (R14): nothing else
// gives a file that one. Whether it rests is told by its entry lock: the mark may
// stay while its owner is inside again.
var restMark = queue.Number{}

var errRestless = fmt.Errorf("%w: the ticket cannot rest", errors.ErrUnsupported)

// Rest marks the ticket, once, and gives up its locks.
func (o *Own) Rest() error {
	o.times.Lock()
	defer o.times.Unlock()
	if !o.mayRest() {
		return errRestless
	}
	if !o.marked {
		o.marked = true // or it may be, whatever comes of this
		if err := o.setBoth(restMark, o.number); err != nil {
			return err
		}
		st, err := o.unmoved()
		if err == nil {
			err = o.h.checkMark(st)
		}
		if err != nil {
			return err
		}
	}
	return o.rest()
}

// MayRest reports whether the ticket may rest, as far as is known: not with an
// heir, that might come in with us, nor where others may be unable to see that it
// rests, or to remove it.
func (o *Own) MayRest() bool {
	o.times.Lock()
	defer o.times.Unlock()
	return o.mayRest()
}

// mayRest is MayRest. o.times is held.
func (o *Own) mayRest() bool {
	return o.reclaimable() && !o.lent && o.h.marks.Load() != marksLost
}

// reclaimable reports whether all who see the ticket may look at its locks and
// remove it.
func (o *Own) reclaimable() bool {
	return o.Entries() && !o.h.sticky && o.q.Mode&readableByAll == readableByAll
}

const readableByAll = 0o444

// rest gives up the locks. o.times is held.
func (o *Own) rest() error {
	if err := goToRest(o.fd); err != nil {
		return wrap("lock", o.Path(), err)
	}
	o.entered, o.witnessed, o.resting = false, false, true
	return nil
}

// What is known of a directory's marks.
const (
	marksUntried = iota
	marksKept
	marksLost
)

// checkMark tells whether the mark was kept, from a look after it was made.
func (h *handle) checkMark(st stat) error {
	if st.accessed != restMark {
		h.marks.Store(marksLost)
		return errRestless
	}
	h.marks.Store(marksKept)
	return nil
}

// Restamp stores both times in one call, since some filesystems change the one
// that is left out.
func (o *Own) Restamp(above queue.Number, rests bool) (queue.Number, error) {
	o.times.Lock()
	defer o.times.Unlock()
	next, ok := above.Add(1)
	if !ok || !o.mayRest() {
		return queue.Number{}, errRestless
	}
	now := numberAt(time.Now())
	n := now.Max(next)
	if !rests {
		// By its path: newcomers may have another directory there by now.
		switch err := setTimes(unix.AT_FDCWD, o.file, now, n); {
		case err == unix.ENOENT, err == unix.ENOTDIR:
			return n, queue.ErrGone
		case err != nil:
			return n, wrap("chtimes", o.file, err)
		}
		// As if it had been created just now.
		o.marked, o.resting, o.final, o.waited = false, false, false, false
		o.inLineAgain = true
		o.listings = listings{changes: o.changes + 1, entries: o.entries}
		o.entered = false
		return n, wrap("lock", o.Path(), giveUpEntry(o.fd))
	}
	if err := o.rest(); err != nil {
		return n, err
	}
	if err := o.setBoth(restMark, n); err != nil {
		return n, err
	}
	o.marked = true
	if o.h.marks.Load() != marksUntried {
		return n, nil
	}
	// By now anybody may have removed it.
	st, err := o.standing()
	switch {
	case errors.Is(err, queue.ErrGone):
		return n, nil
	case err != nil:
		return n, err
	}
	return n, o.h.checkMark(st)
}

// resumed notes that the ticket rests no more.
func (o *Own) resumed() {
	o.times.Lock()
	defer o.times.Unlock()
	o.resting = false
}

// Times returns the directory's own times.
func (o *Own) Times() (queue.Times, error) {
	st, err := o.h.fstat(o.h.fd)
	if err != nil {
		return queue.Times{}, wrap("stat", o.q.Dir, err)
	}
	return queue.Times{Modified: st.modified, Changed: st.changed}, nil
}

// coarseStamp is longer than the units of one second, or of two as on FAT, in
// which some filesystems store times.
const coarseStamp = 3 * time.Second

// Settled compares the directory's times with the clock that stamps them. A
// directory whose times do not follow its changes never settles: it is older
// than the ticket that was made in it.
func (o *Own) Settled(t queue.Times) bool {
	last, apart := t.Modified.Max(t.Changed), 3*clockTick()
	if t.Modified.Nsec == 0 || t.Changed.Nsec == 0 {
		apart = coarseStamp
	}
	later, ok := last.Add(apart)
	return ok && t.Modified.Compare(o.born) >= 0 && numberAt(time.Now()).Compare(later) > 0
}
