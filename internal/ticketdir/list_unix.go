//go:build unix

package ticketdir

import (
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// listings is what an Own remembers of its listings.
type listings struct {
	// stale: something of ours changed since the last change of the directory
	// that makes a listing fresh (R10).
	stale bool
	// changes counts what makes listings fresh.
	changes int
	seen    map[string]sighting // litter of the last listing
	tickets []queue.Ticket      // as last listed
	entries []entry

	// What entries and tickets begin with: in most listings nobody else is.
	roomForEntries [2]entry
	roomForTickets [2]queue.Ticket
}

// List returns all tickets of the queue. The own ticket's presence proves
// that the listing shows what is there: where the open directory does not
// show it, the directory is opened anew.
func (o *Own) List() ([]queue.Ticket, error) {
	if o.h.oneKernel() {
		o.changes++
	} else if o.stale {
		if err := o.scratch(); err != nil {
			return nil, err
		}
	}
	if o.entries == nil {
		o.entries = o.roomForEntries[:0]
	}
	known := o.known()
	err := o.h.names(&o.q, o.name, known, &o.entries)
	switch {
	case removed(err):
		o.entries = o.entries[:0]
	case disconnected(err):
		o.h.retire()
		return nil, queue.ErrGone
	case err != nil:
		return nil, wrap("list", o.q.Dir, err)
	}
	if !o.listed() {
		if err := o.reopen(known); err != nil {
			return nil, err
		}
	}
	tickets, litter, err := o.numbers(o.entries, o.room(), o.read)
	if err != nil {
		return nil, err
	}
	o.tickets = tickets
	o.sweep(litter)
	return o.tickets, nil
}

// room returns where the first listing's tickets go; later ones may not use it,
// since the caller owns what it got.
func (o *Own) room() []queue.Ticket {
	if o.tickets != nil {
		return nil
	}
	return o.roomForTickets[:0]
}

// listed reports whether the last listing shows the own ticket.
func (o *Own) listed() bool {
	return slices.ContainsFunc(o.entries, func(e entry) bool { return e.name == o.name })
}

// known returns the others' tickets of the first listing of the doorway in the
// second one, which may use those numbers: they only rise until then, so that a
// ticket whose owner raised it meanwhile is taken for lower than it is, and
// looked at again before it is waited for. That spares a call for each ticket
// where many wait.
func (o *Own) known() map[string]queue.Ticket {
	if o.final || len(o.tickets) < 2 {
		return nil
	}
	known := make(map[string]queue.Ticket, len(o.tickets))
	for _, t := range o.tickets {
		if t.Name != o.name {
			known[t.Name] = t
		}
	}
	return known
}

// reopen lists the directory that the path names now. Only if it shows the own
// ticket, and is the directory that the ticket's name was made for, does the
// ticket count.
func (o *Own) reopen(known map[string]queue.Ticket) error {
	h, err := newHandle(o.q.Dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			o.h.retire()
			return queue.ErrGone
		}
		return err
	}
	defer unix.Close(h.fd)
	if h.id != o.h.id {
		o.h.retire()
		return queue.ErrGone
	}
	if err := h.names(&o.q, o.name, known, &o.entries); err != nil {
		return wrap("list", o.q.Dir, err)
	}
	if !o.listed() {
		return queue.ErrGone
	}
	return nil
}

// Remaining returns those of ts that are still there (R9), with their numbers where
// tickets may get in line again (R15), since most have risen then. It runs at every
// hand-off. Where tickets are removed, those before one that has gone have mostly
// gone, too, which one listing tells of all; it looks for no other names.
func (o *Own) Remaining(ts []queue.Ticket) ([]queue.Ticket, error) {
	if o.inLineAgain && o.allThere(ts) {
		return ts, nil
	}
	there := make(map[string]bool, len(ts)+1)
	there[o.name] = false
	for _, t := range ts {
		there[t.Name] = false
	}
	err := o.h.list(func(name []byte) {
		if _, asked := there[string(name)]; asked {
			there[string(name)] = true
		}
	})
	switch {
	case disconnected(err):
		o.h.retire()
		return nil, queue.ErrGone
	case err != nil && !removed(err):
		return nil, wrap("list", o.q.Dir, err)
	}
	if !there[o.name] {
		// As in List: a listing without the own ticket proves nothing.
		if err := o.reopen(nil); err != nil {
			return nil, err
		}
		for _, e := range o.entries {
			there[e.name] = true
		}
	}
	still := ts[:0]
	for _, t := range ts {
		if !there[t.Name] {
			continue
		}
		if !o.h.entries() {
			still = append(still, t)
			continue
		}
		switch n, err := o.View.read(t.Name); {
		case err == nil:
			t.Number = t.Number.Max(n)
		case err == fs.ErrNotExist:
			continue
		}
		still = append(still, t) // what cannot be read is looked at by the caller
	}
	return still, nil
}

// allThere reads the numbers of ts, from the nearest on, until one is gone.
func (o *Own) allThere(ts []queue.Ticket) bool {
	for i, t := range slices.Backward(ts) {
		switch n, err := o.View.read(t.Name); {
		case err == fs.ErrNotExist:
			return false
		case err == nil:
			ts[i].Number = t.Number.Max(n)
		}
	}
	return true
}
