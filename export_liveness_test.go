package filelock

import (
	"os"

	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// AtSteps has f called before and after every call that goes from a ticket to
// its directory, with a name such as "before Settle" and the name of the ticket
// that the call is about. It returns what undoes it. A test's child process
// stops, dies or plays tricks in f.
func AtSteps(f func(step, ticket string)) (undo func()) {
	was := passage.Open
	passage.Open = func(q *ticketdir.Queue, after passage.TicketDir) passage.TicketDir {
		return &stepped{was(q, after), f}
	}
	return func() { passage.Open = was }
}

// Steps are the calls that AtSteps knows, where one kernel sees everything.
var Steps = []string{
	"Create", "List", "Renumber", "Announce", "Settle", "Enter", "Remaining", "OpenOther", "Reclaim", "Remove",
}

// RestSteps are those of a ticket that rests.
var RestSteps = []string{"Rest", "Reenter", "Restamp", "Times", "Witness", "Bequeath"}

// stepped is a TicketDir that tells of its steps.
type stepped struct {
	passage.TicketDir
	at func(step, ticket string)
}

// step tells of a step's beginning, and returns what tells of its end.
func (s *stepped) step(call, ticket string) (after func()) {
	s.at("before "+call, ticket)
	return func() { s.at("after "+call, ticket) }
}

func (s *stepped) Create() (name string, err error) {
	defer s.step("Create", s.Name())()
	return s.TicketDir.Create()
}

func (s *stepped) List() (ts []queue.Ticket, err error) {
	defer s.step("List", s.Name())()
	return s.TicketDir.List()
}

func (s *stepped) Renumber(n queue.Number) (stored queue.Number, err error) {
	defer s.step("Renumber", s.Name())()
	return s.TicketDir.Renumber(n)
}

func (s *stepped) Announce(n queue.Number) (err error) {
	defer s.step("Announce", s.Name())()
	return s.TicketDir.Announce(n)
}

func (s *stepped) Settle(waits bool) (err error) {
	defer s.step("Settle", s.Name())()
	return s.TicketDir.Settle(waits)
}

func (s *stepped) Enter() (n queue.Number, err error) {
	defer s.step("Enter", s.Name())()
	return s.TicketDir.Enter()
}

func (s *stepped) Reenter() (n queue.Number, err error) {
	defer s.step("Reenter", s.Name())()
	return s.TicketDir.Reenter()
}

func (s *stepped) Rest() (err error) {
	defer s.step("Rest", s.Name())()
	return s.TicketDir.Rest()
}

func (s *stepped) Restamp(above queue.Number, rests bool) (n queue.Number, err error) {
	defer s.step("Restamp", s.Name())()
	return s.TicketDir.Restamp(above, rests)
}

func (s *stepped) Times() (t queue.Times, err error) {
	defer s.step("Times", s.Name())()
	return s.TicketDir.Times()
}

func (s *stepped) Witness() (f *os.File, err error) {
	defer s.step("Witness", s.Name())()
	return s.TicketDir.Witness()
}

func (s *stepped) Bequeath() (heirs bool, err error) {
	defer s.step("Bequeath", s.Name())()
	return s.TicketDir.Bequeath()
}

func (s *stepped) Remaining(ts []queue.Ticket) (still []queue.Ticket, err error) {
	defer s.step("Remaining", s.Name())()
	return s.TicketDir.Remaining(ts)
}

func (s *stepped) Remove() (err error) {
	defer s.step("Remove", s.Name())()
	return s.TicketDir.Remove()
}

func (s *stepped) OpenOther(name string) (o *ticketdir.Other, err error) {
	defer s.step("OpenOther", name)()
	return s.TicketDir.OpenOther(name)
}

func (s *stepped) Stat(name string) (p ticketdir.Probe, err error) {
	defer s.step("Stat", name)()
	return s.TicketDir.Stat(name)
}

func (s *stepped) Reclaim(o *ticketdir.Other) (err error) {
	defer s.step("Reclaim", o.Name())()
	return s.TicketDir.Reclaim(o)
}

func (s *stepped) ReclaimAtRest(o *ticketdir.Other) (err error) {
	defer s.step("Reclaim", o.Name())()
	return s.TicketDir.ReclaimAtRest(o)
}

func (s *stepped) RemoveDead(name string) (err error) {
	defer s.step("RemoveDead", name)()
	return s.TicketDir.RemoveDead(name)
}
