package overview

import (
	"fmt"
	"path/filepath"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/waitfor"
)

// addElsewhere adds a ticket of a process in another mount namespace, where paths mean
// something else: of its queue there is to be seen what that process has open.
func addElsewhere(queues []Queue, p waitfor.Process, t waitfor.Ticket) []Queue {
	note := fmt.Sprintf("a path as pid %d sees it, in another mount namespace; of its queue only what processes have open is shown", p.PID)
	path := t.Queue.Target()
	if n := len(queues) - 1; n < 0 || queues[n].Path != path || queues[n].Note != note {
		queues = append(queues, Queue{Path: path, Note: note, Tickets: []Ticket{}})
	}
	q := &queues[len(queues)-1]
	shown := filelock.Ticket{
		Path: filepath.Join(t.Dir, t.File), Host: t.Name.Host, PID: t.PID, Queued: t.Number.Time(),
		Shared: t.Name.Shared, Lease: t.Name.Lease, State: filelock.Unknown, Reason: "neither inside nor waiting",
	}
	switch t.State {
	case waitfor.Inside:
		shown.State, shown.Reason, shown.Guarded = filelock.Inside, "entry held", true
	case waitfor.Waiting:
		shown.State, shown.Reason, shown.Guarded = filelock.Alive, "waits: witness held", true
	}
	s := newTicket(shown, len(q.Tickets)+1, true)
	s.Process = newProcess(t.PID)
	q.Tickets = append(q.Tickets, s)
	q.Held = q.Held || t.State != waitfor.Idle
	return queues
}
