package sim

import (
	"errors"
	"slices"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// errFault is what an operation fails with for no reason of the algorithm's.
var errFault = errors.New("sim: the operation failed")

// own is one ticket and the directory as its owner sees it. It implements
// queue.Directory and queue.Others.
type own struct {
	*actor
	raised  []*file
	tickets []queue.Ticket // the last listing; its memory is used again
	entries []string
	orphans []string
	early   []queue.Ticket // BendListFirst
	first   []queue.Ticket // the doorway's first listing
}

// fault reports whether the operation is to fail.
func (o *own) fault() bool { return o.w.faulty && o.w.rng.IntN(48) == 0 }

func (o *own) Create() (string, error) {
	if o.w.bend == BendListFirst {
		o.list()
		o.early = slices.Clone(o.tickets)
	}
	o.step()
	if o.fault() {
		return "", errFault
	}
	o.file = o.w.create(o.actor)
	o.changedAt = o.w.dir.changes
	o.createdAt, o.settledAt, o.admitted, o.first = o.w.steps, never, false, nil
	if o.w.tracing {
		o.say("creates %s", show(o.file))
	}
	return o.file.name, nil
}

func (o *own) List() ([]queue.Ticket, error) {
	if o.fault() {
		o.step()
		return nil, errFault
	}
	if o.early != nil {
		tickets := append(o.early, queue.Ticket{Name: o.file.name, Number: o.file.number()})
		o.early = nil
		return tickets, nil
	}
	o.list()
	o.file.listed = true
	switch {
	case o.settledAt != never:
	case o.first == nil:
		o.first = slices.Clone(o.tickets)
	case o.w.rng.IntN(2) == 0:
		o.remember()
	}
	if o.w.tracing {
		o.say("lists %s", showAll(o.tickets))
	}
	return o.tickets, nil
}

// remember puts the first listing's numbers into the doorway's second one, as
// the real directory does to spare itself the asking.
func (o *own) remember() {
	for i := range o.tickets {
		t := &o.tickets[i]
		j := slices.IndexFunc(o.first, func(f queue.Ticket) bool { return f.Name == t.Name })
		if j >= 0 && t.Name != o.file.name {
			t.Number = o.first[j].Number
		}
	}
}

func (o *own) list() {
	o.tickets, o.entries = o.tickets[:0], o.entries[:0]
	o.scan(func(f *file) {
		if f.raised {
			o.entries = append(o.entries, f.name)
			return
		}
		o.tickets = append(o.tickets, queue.Ticket{Name: f.name, Number: o.read(f), Plain: f.plain, Shared: o.w.kindOf(f)})
	})
	if o.w.plan.cached {
		o.sweep(ticket.Merge(o.tickets, o.entries))
	}
}

// sweep removes announcements that two listings in a row showed without their
// ticket, as the real directory does.
func (o *own) sweep(orphans []string) {
	for _, name := range orphans {
		if f := o.w.dir.find(name); slices.Contains(o.orphans, name) && !f.removed {
			o.step()
			o.unlink(f)
		}
	}
	o.orphans = orphans
}

func (o *own) Renumber(n queue.Number) (queue.Number, error) {
	o.step()
	switch {
	case o.fault():
		return queue.Number{}, errFault
	case o.notices():
		return queue.Number{}, queue.ErrGone
	}
	o.w.store(o.file, o.view(n))
	if o.w.tracing {
		o.say("sets %s", show(o.file))
	}
	return o.view(o.file.number()), nil
}

func (o *own) Announce(n queue.Number) error {
	if !o.caches() {
		return nil
	}
	o.step()
	if o.fault() {
		return errFault
	}
	f := &file{name: ticket.Raised(o.file.name, n), owner: o.actor, raised: true}
	f.numbers = append(f.numbers, n)
	o.w.dir.add(f)
	o.changedAt = o.w.dir.changes
	o.raised = append(o.raised, f)
	if o.w.tracing {
		o.say("announces %s", show(f))
	}
	return nil
}

func (o *own) Settle(waits bool) error {
	o.step()
	switch {
	case o.fault():
		return errFault
	case o.notices():
		return queue.ErrGone
	}
	o.file.settled = waits || o.w.plan.cached
	o.settledAt = o.w.steps
	if o.w.tracing {
		o.say("settles, and waits: %t", waits)
	}
	return nil
}

// notices reports whether an operation notices that the own ticket is gone.
// Only a listing and Enter must.
func (o *own) notices() bool { return o.file.removed && o.w.rng.IntN(2) == 0 }

func (o *own) Remaining(ts []queue.Ticket) ([]queue.Ticket, error) {
	if o.fault() {
		o.step()
		return nil, errFault
	}
	o.entries = o.entries[:0]
	o.scan(func(f *file) { o.entries = append(o.entries, f.name) })
	if o.notices() {
		return nil, queue.ErrGone
	}
	ts = slices.DeleteFunc(ts, func(t queue.Ticket) bool { return !slices.Contains(o.entries, t.Name) })
	for i, t := range ts {
		o.step()
		ts[i] = o.renew(t, o.w.dir.find(t.Name))
	}
	return ts, nil
}

func (o *own) Remove() error {
	o.step()
	if o.file == nil {
		return nil
	}
	ours := o.file.marked && o.file.entered && !o.file.removed
	o.leaveEntry()
	if o.fault() {
		return errFault
	}
	gone := o.file.removed && !ours
	o.unlink(o.file)
	for _, f := range o.raised {
		o.step()
		o.unlink(f)
	}
	o.file, o.raised = nil, nil
	if gone {
		return queue.ErrGone
	}
	return nil
}

var _ queue.Directory = (*own)(nil)
