package filelock

import (
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// AtSteps has f called before and after every call that goes from a ticket to
// its directory, with a name such as "before Settle" and the name of the ticket
// that the call is about. It returns what undoes it. A test's child process
// stops, dies or plays tricks in f.
func AtSteps(f func(step, ticket string)) (undo func()) {
	was := openTicketDir
	openTicketDir = func(q ticketdir.Queue) ticketDir { return &stepped{was(q), f} }
	return func() { openTicketDir = was }
}

// Steps are the calls that AtSteps knows.
var Steps = []string{
	"Create", "List", "Renumber", "Announce", "Settle", "Confirm", "Remaining", "Probe", "Reclaim", "Remove",
}

// stepped is a ticketDir that tells of its steps.
type stepped struct {
	ticketDir
	at func(step, ticket string)
}

// step tells of a step's beginning, and returns what tells of its end.
func (s *stepped) step(call, ticket string) (after func()) {
	s.at("before "+call, ticket)
	return func() { s.at("after "+call, ticket) }
}

func (s *stepped) Create() (name string, err error) {
	defer s.step("Create", s.Name())()
	return s.ticketDir.Create()
}

func (s *stepped) List() (ts []queue.Ticket, err error) {
	defer s.step("List", s.Name())()
	return s.ticketDir.List()
}

func (s *stepped) Renumber(n queue.Number) (stored queue.Number, err error) {
	defer s.step("Renumber", s.Name())()
	return s.ticketDir.Renumber(n)
}

func (s *stepped) Announce(n queue.Number) (err error) {
	defer s.step("Announce", s.Name())()
	return s.ticketDir.Announce(n)
}

func (s *stepped) Settle() (err error) {
	defer s.step("Settle", s.Name())()
	return s.ticketDir.Settle()
}

func (s *stepped) Confirm() (n queue.Number, err error) {
	defer s.step("Confirm", s.Name())()
	return s.ticketDir.Confirm()
}

func (s *stepped) Remaining(ts []queue.Ticket) (still []queue.Ticket, err error) {
	defer s.step("Remaining", s.Name())()
	return s.ticketDir.Remaining(ts)
}

func (s *stepped) Remove() (err error) {
	defer s.step("Remove", s.Name())()
	return s.ticketDir.Remove()
}

func (s *stepped) Probe(name string) (p ticketdir.Probe, err error) {
	defer s.step("Probe", name)()
	return s.ticketDir.Probe(name)
}

func (s *stepped) Reclaim(name string, p *ticketdir.Probe) (err error) {
	defer s.step("Reclaim", name)()
	return s.ticketDir.Reclaim(name, p)
}
