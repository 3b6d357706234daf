// Package ticketdir keeps the tickets of package queue as files in a real
// directory.
//
// Everything that a filesystem may do otherwise than the algorithm assumes is
// dealt with here: listings that are cached, attributes that are old, locks
// that do not exist, directories that are replaced.
package ticketdir

import (
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
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

	frame *frame // nil: not prepared
}

// frame is what the names of our tickets have around the nonce.
type frame struct {
	mu         sync.Mutex
	place      ticket.Hash
	head, tail string
}

// Prepare has the constant part of names made once, for a queue that is used
// again and again. The copies of q made after it share that.
func (q *Queue) Prepare() { q.frame = new(frame) }

// newPath returns the path of a new ticket in a directory at place.
func (q *Queue) newPath(place ticket.Hash) string {
	head, tail := q.around(place)
	var nonce [64]byte
	var path strings.Builder
	path.Grow(len(q.Dir) + 1 + len(head) + 32 + len(tail))
	path.WriteString(q.Dir)
	path.WriteByte(filepath.Separator)
	path.WriteString(head)
	path.Write(ticket.AppendNonce(nonce[:0]))
	path.WriteString(tail)
	return path.String()
}

func (q *Queue) around(place ticket.Hash) (head, tail string) {
	f := q.frame
	if f == nil {
		f = new(frame)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head == "" || f.place != place {
		self := liveness.Self()
		f.place = place
		f.head, f.tail = ticket.Name{
			Host: self.Host, PID: self.PID, Start: self.Start,
			PIDSpace: self.PIDSpace, Place: place, Lease: q.Lease,
		}.Frame(q.Prefix)
	}
	return f.head, f.tail
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
	plain  bool
	// number is known already if numbered.
	number   queue.Number
	numbered bool
}

// classify tells whether a name of a directory is a ticket or a raised entry
// of the queue. The bytes are of the directory buffer: no string is made for
// the names that do not concern us, nor for the own one.
func (q *Queue) classify(name []byte, own string) (e entry, ok bool) {
	if len(name) <= len(q.Prefix) || string(name[:len(q.Prefix)]) != q.Prefix {
		return entry{}, false
	}
	if string(name) == own {
		return entry{name: own}, true
	}
	text := string(name)
	if n, ok := ticket.Parse(q.Prefix, text); ok {
		return entry{name: text, plain: n.Plain}, true
	}
	if of, _, ok := ticket.ParseRaised(text); ok {
		if _, ok := ticket.Parse(q.Prefix, of); ok {
			return entry{name: text, raised: true}, true
		}
	}
	return entry{}, false
}
