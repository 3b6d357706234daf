// Package ticketdir keeps the tickets of package queue as files in a real
// directory.
//
// Everything that a filesystem may do otherwise than the algorithm assumes is
// dealt with here: listings that are cached, attributes that are old, locks
// that do not exist, directories that are replaced.
package ticketdir

import (
	"io/fs"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Queue is one target's queue: a directory and the prefix of its tickets.
// It holds nothing open and may be copied.
type Queue struct {
	Dir    string // absolute
	Prefix string // see ticket.Prefix
	// Mode is the permission of new tickets. With ExactMode the process's
	// umask does not count.
	Mode      fs.FileMode
	ExactMode bool
	// MakeDir creates a missing directory when a ticket is to be made in it.
	MakeDir bool
	// Lease is what our tickets declare; 0 is none.
	Lease time.Duration
}

// Probe is what one look at another's ticket found.
type Probe struct {
	Number  queue.Number
	Witness liveness.Witness
	// Beat changes with every heartbeat of the ticket's owner.
	Beat Beat
	// Place and OneKernel say where the directory is.
	Place     ticket.Hash
	OneKernel bool

	held heldProbe
}

// Beat is the times of a ticket other than its number. Any change of it is a
// sign of life: some filesystems do not keep access times, and others give no
// change times.
type Beat struct{ Accessed, Changed queue.Number }

// entry is one name of a listing that concerns the queue.
type entry struct {
	name   string
	raised bool
}

// classify tells whether a name of a directory is a ticket or a raised entry
// of the queue. The bytes are of the directory buffer: no string is made for
// the names that do not concern us.
func (q *Queue) classify(name []byte) (e entry, ok bool) {
	if len(name) <= len(q.Prefix) || string(name[:len(q.Prefix)]) != q.Prefix {
		return entry{}, false
	}
	text := string(name)
	if _, ok := ticket.Parse(q.Prefix, text); ok {
		return entry{name: text}, true
	}
	if of, _, ok := ticket.ParseRaised(text); ok {
		if _, ok := ticket.Parse(q.Prefix, of); ok {
			return entry{name: text, raised: true}, true
		}
	}
	return entry{}, false
}

func (q *Queue) ticketOf(name string, number queue.Number) queue.Ticket {
	n, _ := ticket.Parse(q.Prefix, name)
	return queue.Ticket{Name: name, Number: number, Plain: n.Plain}
}
