//go:build !unix

package ticketdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// View is a queue as anybody may look at it.
//
// These systems have no locks on a ticket: on Windows a file that is kept open
// cannot be removed by name, and its owner's death is left to the process table.
type View struct{ q Queue }

// Open returns a view of the queue. The caller owes a Close.
func Open(q Queue) (*View, error) {
	if _, err := os.Stat(q.Dir); err != nil {
		return nil, err
	}
	return &View{q: q}, nil
}

// Close ends the view.
func (v *View) Close() {}

// Spare has nothing to close either.
var Spare = func() bool { return false }

// CloseDir has nothing to close.
func CloseDir(string) {}

// CloseIdle has nothing to close.
func CloseIdle() {}

// OneKernel reports whether the kernel sees every change of the directory.
func (v *View) OneKernel() bool { return false }

// Entries reports whether tickets have entry locks (R13).
func (v *View) Entries() bool { return false }

// Tells reports whether the locks of a ticket made at that place are seen here.
func (v *View) Tells(liveness.Place) bool { return false }

// FollowsOpen reports whether a look at a ticket's number opens the ticket.
func (v *View) FollowsOpen() bool { return false }

func (v *View) path(name string) string { return filepath.Join(v.q.Dir, name) }

// Stat reads another's ticket's number. fs.ErrNotExist: it is gone, or no ticket.
func (v *View) Stat(name string) (Probe, error) {
	info, err := os.Lstat(v.path(name)) // the times in a listing may be old
	switch {
	case err != nil:
		return Probe{}, err
	case !info.Mode().IsRegular():
		return Probe{}, fs.ErrNotExist
	}
	return Probe{Number: numberAt(info.ModTime())}, nil
}

// RemoveDead removes another's ticket.
func (v *View) RemoveDead(name string) error {
	if err := os.Remove(v.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List returns the queue's tickets, in no order.
func (v *View) List() ([]queue.Ticket, error) {
	tickets, _, err := v.list()
	return tickets, err
}

func (v *View) list() (tickets []queue.Ticket, l litter, err error) {
	names, err := v.names()
	if err != nil {
		return nil, l, err
	}
	var raised []string
	for _, e := range names {
		switch e.kind {
		case isRaised:
			raised = append(raised, e.name)
			continue
		case isScratch:
			l.scratches = append(l.scratches, e.name)
			continue
		}
		switch p, err := v.Stat(e.name); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, l, err
		default:
			tickets = append(tickets, queue.Ticket{Name: e.name, Number: p.Number, Plain: e.plain, Shared: e.shared})
		}
	}
	l.orphans = ticket.Merge(tickets, raised)
	return tickets, l, nil
}

func (v *View) names() ([]entry, error) {
	dir, err := os.Open(v.q.Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, name := range names {
		if e, ok := v.q.classify([]byte(name), ""); ok {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func numberAt(t time.Time) queue.Number {
	return queue.Number{Sec: t.Unix(), Nsec: int32(t.Nanosecond())}
}

// Other is another's ticket. It is not kept open.
type Other struct {
	view *View
	name string
}

// OpenOther returns another's ticket. fs.ErrNotExist: it is gone, or no ticket.
func (v *View) OpenOther(name string) (*Other, error) {
	if _, err := v.Stat(name); err != nil {
		return nil, err
	}
	return &Other{view: v, name: name}, nil
}

// Name returns the ticket's name.
func (o *Other) Name() string { return o.name }

// Close ends the use of the ticket.
func (o *Other) Close() {}

// Label returns "": there are no labels here.
func (o *Other) Label() string { return "" }

// Look reads the ticket's number. fs.ErrNotExist: it is gone.
func (o *Other) Look() (Probe, error) { return o.view.Stat(o.name) }

// Entered returns errors.ErrUnsupported.
func (o *Other) Entered() (bool, error) {
	return false, &fs.PathError{Op: "lock", Path: o.view.path(o.name), Err: errors.ErrUnsupported}
}

// Reclaim removes the ticket.
func (v *View) Reclaim(o *Other) error { return v.RemoveDead(o.name) }

// ReclaimAtRest is not called: no ticket rests here.
func (v *View) ReclaimAtRest(o *Other) error { return v.Reclaim(o) }

// RemoveUnheld is not called: no ticket is left to heirs here.
func (v *View) RemoveUnheld(string) (held bool, err error) { return false, errors.ErrUnsupported }
