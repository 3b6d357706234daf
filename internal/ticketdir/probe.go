package ticketdir

import (
	"errors"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
)

// ErrInside is returned by View.Reclaim when the ticket's entry lock is held, since
// its owner, or an heir, is inside or about to be, or when it rests no more.
var ErrInside = errors.New("ticketdir: the ticket's owner was quicker")

// Probe is what one look at another's ticket found.
type Probe struct {
	Number queue.Number
	// Nameless: the file has no name any more. It is told of an Other only, that
	// was opened while it had one; and nothing is told by its absence.
	Nameless bool
	// Entry and Witness are the ticket's two locks; Unseen where not looked at.
	Entry, Witness liveness.Lock
	// Marked: the ticket rests, if its entry lock is free (R14).
	Marked bool
	// Beat changes with every heartbeat of the ticket's owner.
	Beat Beat
}

// Beat is the times of a ticket other than its number. Any change of it is a
// sign of life: some filesystems do not keep access times, and others give no
// change times.
type Beat struct{ Accessed, Changed queue.Number }
