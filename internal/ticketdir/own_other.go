//go:build !unix

package ticketdir

import (
	"errors"
	"fmt"
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
type Own struct {
	View
	name    string
	raised  []string
	orphans []string
}

var _ queue.Directory = (*Own)(nil)

// New returns a ticket yet to be created.
func New(q Queue) *Own { return &Own{View: View{q: q}} }

// Again returns another ticket yet to be created, for when this one is gone.
func (o *Own) Again(q Queue) *Own { return New(q) }

// Rest fails: there are no entry locks here (R14).
func (o *Own) Rest() error { return errors.ErrUnsupported }

// Restamp fails likewise (R15).
func (o *Own) Restamp(queue.Number, bool) (queue.Number, error) {
	return queue.Number{}, errors.ErrUnsupported
}

// Times and Settled serve those who may rest.
func (o *Own) Times() (queue.Times, error) { return queue.Times{}, errors.ErrUnsupported }

func (o *Own) Settled(queue.Times) bool { return false }

// MayRest is false.
func (o *Own) MayRest() bool { return false }

// Name returns the ticket's name, "" before Create.
func (o *Own) Name() string { return o.name }

// Path returns the ticket's path.
func (o *Own) Path() string { return o.path(o.name) }

// Create makes the ticket (R1).
func (o *Own) Create() (string, error) {
	path, err := o.q.newPath(0)
	if err != nil {
		return "", err
	}
	name := filepath.Base(path)
	err = o.touch(name, 0)
	if o.q.MakeDir && errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(o.q.Dir, 0o777); err != nil {
			return "", err
		}
		err = o.touch(name, 0)
	}
	if err != nil {
		return "", err
	}
	o.name = name
	return name, nil
}

func (o *Own) touch(name string, flag int) error {
	f, err := os.OpenFile(o.path(name), os.O_CREATE|os.O_WRONLY|flag, o.q.Mode.Perm())
	if err != nil {
		return err
	}
	return f.Close()
}

// List returns all tickets of the queue.
func (o *Own) List() ([]queue.Ticket, error) {
	tickets, l, err := o.list()
	if err != nil {
		return nil, err
	}
	for _, name := range l.orphans {
		if slices.Contains(o.orphans, name) {
			_ = os.Remove(o.path(name))
		}
	}
	o.orphans = l.orphans
	return tickets, nil
}

// Renumber sets both times and reads back what was kept.
func (o *Own) Renumber(n queue.Number) (queue.Number, error) {
	if err := os.Chtimes(o.Path(), time.Now(), n.Time()); err != nil {
		return queue.Number{}, o.gone(err)
	}
	return o.Enter()
}

// Announce makes the entry that carries the raised number in its name. One that
// is there is somebody else's; a new ticket has another name.
func (o *Own) Announce(n queue.Number) error {
	name := ticket.Raised(o.name, n)
	switch err := o.touch(name, os.O_EXCL); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", queue.ErrGone, err)
	case err != nil:
		return err
	}
	o.raised = append(o.raised, name)
	return nil
}

// Settle has no witness to take.
func (o *Own) Settle(bool) error {
	if o.q.Lease > 0 {
		return o.Beat()
	}
	_, err := o.Enter()
	return err
}

// Beat returns errors.ErrUnsupported: renewals could not be seen by others.
func (o *Own) Beat() error {
	return &fs.PathError{Op: "chtimes", Path: o.Path(), Err: errors.ErrUnsupported}
}

// Enter returns the own number. There is no entry lock.
func (o *Own) Enter() (queue.Number, error) {
	p, err := o.Stat(o.name)
	return p.Number, o.gone(err)
}

// Reenter is Enter: no ticket rests here.
func (o *Own) Reenter() (queue.Number, error) { return o.Enter() }

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
	there := make(map[string]bool, len(names))
	for _, e := range names {
		there[e.name] = true
	}
	return slices.DeleteFunc(ts, func(t queue.Ticket) bool { return !there[t.Name] }), nil
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
		_ = os.Remove(o.path(name))
	}
	o.name, o.raised = "", nil
	return err
}

// Quit has no lock to give up.
func (o *Own) Quit() error { return nil }

// Witness returns errors.ErrUnsupported.
func (o *Own) Witness() (*os.File, error) {
	return nil, &fs.PathError{Op: "lock", Path: o.Path(), Err: errors.ErrUnsupported}
}

// HasWitness tells whether tickets can be left to heirs on this system.
const HasWitness = false

// Shared is false: there is no witness.
func (o *Own) Shared() bool { return false }

// Bequeath returns errors.ErrUnsupported.
func (o *Own) Bequeath() (heirs bool, err error) {
	return false, &fs.PathError{Op: "lock", Path: o.Path(), Err: errors.ErrUnsupported}
}

// Tidied is false.
func (o *Own) Tidied() bool { return false }
