package passage

import (
	"errors"
	"io/fs"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// ErrNoTicket is returned by Evict for a name that is no ticket's of the queue.
var ErrNoTicket = errors.New("passage: no ticket of this queue")

// Evict removes the ticket of that name, whatever the verdict, unless its owner is
// inside or may be: ticketdir.ErrInside. fs.ErrNotExist: it is gone.
func Evict(cfg *Config, name string) (turn.Contender, error) {
	if _, ok := ticket.Parse(cfg.Queue.Prefix, name); !ok {
		return turn.Contender{}, ErrNoTicket
	}
	v, err := ticketdir.Open(cfg.Queue)
	if err != nil {
		return turn.Contender{}, err
	}
	defer v.Close()
	x := cfg.examiner(v)
	x.thorough = true
	e, err := x.look(queue.Ticket{Name: name}, nil, false)
	defer e.close()
	switch {
	case err != nil:
		return x.contender(&e), err
	case e.gone:
		return turn.Contender{}, fs.ErrNotExist
	}
	return x.contender(&e), x.evict(&e)
}

// evict removes an examined ticket on somebody's word. An entry lock that the owner
// takes after the look refuses the removal (R13); where there is none, or it may not be
// looked at, who lives may be inside.
func (x *examiner) evict(e *exam) error {
	switch {
	case e.verdict.State == liveness.Inside:
		return ticketdir.ErrInside
	case e.guarded:
		return x.view.Reclaim(e.other)
	case e.verdict.State == liveness.Alive, runs(e.name):
		return ticketdir.ErrInside
	default:
		return x.view.RemoveDead(e.ticket.Name)
	}
}

// runs reports whether a ticket's process is known to run. That does not enter the verdict
// on a ticket that may not be read.
func runs(n ticket.Name) bool {
	self, err := liveness.Self()
	if err != nil || !n.PIDSpace.Same(self.PIDSpace) {
		return false
	}
	process := liveness.Ask(n.PID, n.Start)
	return process == liveness.ProcessRuns || process == liveness.ProcessStopped
}
