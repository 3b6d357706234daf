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
// gives a file that one, and it raises no number. Whether it rests is told by its
// entry lock: the mark stays while its owner is inside again.
var restMark = queue.Number{}

var errRestless = fmt.Errorf("%w: the ticket cannot rest", errors.ErrUnsupported)

// Rest marks the ticket, once, and gives up the entry lock.
func (o *Own) Rest() error {
	o.times.Lock()
	defer o.times.Unlock()
	if !o.Entries() || o.shared {
		return errRestless // an heir might come in with us
	}
	if !o.marked {
		if err := o.mark(); err != nil {
			return err
		}
		o.marked = true
	}
	if err := giveUpEntry(o.fd); err != nil {
		return wrap("lock", o.Path(), err)
	}
	o.entered, o.resting = false, true
	return nil
}

// mark sets the mark and looks whether it was kept. Both times are set, since
// some filesystems change the one that is left out.
func (o *Own) mark() error {
	if err := chtimes(o.h.fd, o.name, restMark, o.number); err != nil {
		return wrap("chtimes", o.Path(), err)
	}
	st, err := o.unmoved()
	if err == nil && st.accessed != restMark {
		err = errRestless
	}
	return err
}

// resumed notes that the ticket rests no more.
func (o *Own) resumed() {
	o.times.Lock()
	defer o.times.Unlock()
	o.resting = false
}

// Times returns the directory's own times.
func (o *Own) Times() (queue.Times, error) {
	st, err := fstat(o.h.fd)
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

// Stacks reports whether the directory's times may miss changes that were made
// below it.
func (o *Own) Stacks() bool { return o.h.filesystem.Stacks }

// InPlace reports whether the path still names the directory that the ticket is
// in: newcomers would queue in another one.
func (o *Own) InPlace() bool {
	st, err := fstatat(unix.AT_FDCWD, o.q.Dir, 0)
	return err == nil && st.id == o.h.id
}
