//go:build !unix

package ticketdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Own is one ticket of this process, and the queue as its owner sees it. It
// implements queue.Directory. One goroutine at a time may use it.
//
// These systems have no witness: on Windows a file that is kept open cannot
// be removed by name, and its owner's death is left to the process table.
type Own struct {
	View
	name    string
	raised  []string
	orphans []string
}

type heldProbe struct{}

// View is a queue as anybody may look at it.
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

// OneKernel reports whether the kernel sees every change of the directory.
func (v *View) OneKernel() bool { return false }

func (v *View) at(name string) string { return filepath.Join(v.q.Dir, name) }

// New returns a ticket yet to be created.
func New(q Queue) *Own { return &Own{View: View{q: q}} }

// Name returns the ticket's name, "" before Create.
func (o *Own) Name() string { return o.name }

// Path returns the ticket's path.
func (o *Own) Path() string { return o.at(o.name) }

// Create makes the ticket (R1).
func (o *Own) Create() (string, error) {
	name := filepath.Base(o.q.newPath(0))
	err := o.touch(name)
	if o.q.MakeDir && errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(o.q.Dir, 0o777); err != nil {
			return "", err
		}
		err = o.touch(name)
	}
	if err != nil {
		return "", err
	}
	o.name = name
	return name, nil
}

func (o *Own) touch(name string) error {
	f, err := os.OpenFile(o.at(name), os.O_CREATE|os.O_WRONLY, o.q.Mode.Perm())
	if err != nil {
		return err
	}
	return f.Close()
}

// List returns all tickets of the queue.
func (o *Own) List() ([]queue.Ticket, error) {
	tickets, orphans, err := o.list()
	if err != nil {
		return nil, err
	}
	for _, name := range orphans {
		if slices.Contains(o.orphans, name) {
			os.Remove(o.at(name))
		}
	}
	o.orphans = orphans
	return tickets, nil
}

// List returns the queue's tickets, in no order.
func (v *View) List() ([]queue.Ticket, error) {
	tickets, _, err := v.list()
	return tickets, err
}

func (v *View) list() (tickets []queue.Ticket, orphans []string, err error) {
	names, err := v.names()
	if err != nil {
		return nil, nil, err
	}
	var raised []string
	for _, e := range names {
		if e.raised {
			raised = append(raised, e.name)
			continue
		}
		// Lstat asks for the file itself: the times in a listing may be old.
		info, err := os.Lstat(v.at(e.name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, nil, err
		case info.Mode().IsRegular():
			tickets = append(tickets, queue.Ticket{Name: e.name, Number: numberOf(info.ModTime()), Plain: e.plain})
		}
	}
	return tickets, ticket.Merge(tickets, raised), nil
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

func numberOf(t time.Time) queue.Number {
	return queue.Number{Sec: t.Unix(), Nsec: int32(t.Nanosecond())}
}

// Renumber sets both times and reads back what was kept.
func (o *Own) Renumber(n queue.Number) (queue.Number, error) {
	if err := os.Chtimes(o.Path(), time.Now(), n.Time()); err != nil {
		return queue.Number{}, o.gone(err)
	}
	return o.Confirm()
}

// Announce makes the entry that carries the raised number in its name.
func (o *Own) Announce(n queue.Number) error {
	name := ticket.Raised(o.name, n)
	if err := o.touch(name); err != nil {
		return err
	}
	o.raised = append(o.raised, name)
	return nil
}

// Settle has no witness to take.
func (o *Own) Settle() error {
	if o.q.Lease > 0 {
		return o.Beat()
	}
	_, err := o.Confirm()
	return err
}

// Beat returns errors.ErrUnsupported: renewals could not be seen by others.
func (o *Own) Beat() error {
	return &fs.PathError{Op: "chtimes", Path: o.Path(), Err: errors.ErrUnsupported}
}

// Confirm returns the own number.
func (o *Own) Confirm() (queue.Number, error) {
	info, err := os.Lstat(o.Path())
	if err != nil {
		return queue.Number{}, o.gone(err)
	}
	return numberOf(info.ModTime()), nil
}

func (o *Own) gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return queue.ErrGone
	}
	return err
}

// Remaining returns those of ts that a listing still shows (R9).
func (o *Own) Remaining(ts []queue.Ticket) ([]queue.Ticket, error) {
	names, err := o.names()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ts, func(t queue.Ticket) bool {
		return !slices.ContainsFunc(names, func(e entry) bool { return e.name == t.Name })
	}), nil
}

// Remove removes the ticket, then its raised entries.
func (o *Own) Remove() error {
	if o.name == "" {
		return nil
	}
	err := o.gone(os.Remove(o.Path()))
	if err != nil && !errors.Is(err, queue.ErrGone) {
		return err
	}
	for _, name := range o.raised {
		os.Remove(o.at(name))
	}
	o.name, o.raised = "", nil
	return err
}

// Witness returns errors.ErrUnsupported.
func (o *Own) Witness() (*os.File, error) { return nil, errors.ErrUnsupported }

// Probe looks at another's ticket. fs.ErrNotExist: it is gone, or no ticket.
func (v *View) Probe(name string) (Probe, error) {
	info, err := os.Lstat(v.at(name))
	if err != nil {
		return Probe{}, err
	}
	if !info.Mode().IsRegular() {
		return Probe{}, &fs.PathError{Op: "open", Path: v.at(name), Err: fs.ErrNotExist}
	}
	return Probe{Number: numberOf(info.ModTime())}, nil
}

// Release ends the probe.
func (v *View) Release(*Probe) {}

// Reclaim removes a dead owner's ticket.
func (v *View) Reclaim(name string, _ *Probe) error {
	if err := os.Remove(v.at(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

var _ queue.Directory = (*Own)(nil)
