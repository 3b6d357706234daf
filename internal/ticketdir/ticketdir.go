// Package ticketdir keeps the tickets of package queue as files in a real
// directory.
//
// Everything that a filesystem may do otherwise than the algorithm assumes is
// dealt with here: listings that are cached, attributes that are old, locks
// that do not exist, directories that are replaced.
//
// A Queue says where the tickets are. An Own is one ticket of this process, and
// what package queue calls a Directory. A View shows the queue to anybody, and
// an Other is one ticket of somebody else, kept open. All of them share one
// open directory, a handle.
package ticketdir

import (
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Queue is one target's queue: a directory and the prefix of its tickets.
// It holds nothing open and may be copied.
type Queue struct {
	Dir    string // absolute
	Prefix string // see ticket.Prefix
	// Mode is the permission of new tickets, whatever the umask or a default
	// ACL says, where the filesystem keeps permissions.
	Mode fs.FileMode
	// MakeDir creates a missing directory when a ticket is to be made in it.
	MakeDir bool
	// Lease is what our tickets declare; 0 is none.
	Lease time.Duration
	// Label is what our tickets say of their owner, at most MaxLabel bytes, where
	// the filesystem can keep it; "" is nothing.
	Label string
	// Shared is the kind of our tickets.
	Shared bool

	frame *frame // nil: not prepared
}

// MaxLabel is how many bytes a label has at most.
const MaxLabel = 64

// frame is what the names of our tickets have around the nonce.
type frame struct {
	mu         sync.Mutex
	place      liveness.Place
	head, tail string
}

// Prepare has the constant part of names made once, for a queue that is used
// again and again. The copies of q made after it share that, and have its kind.
func (q *Queue) Prepare() { q.frame = new(frame) }

// newPath returns the path of a new ticket in a directory at place.
func (q *Queue) newPath(place liveness.Place) (string, error) {
	head, tail, err := q.around(place)
	if err != nil {
		return "", err
	}
	var nonce [64]byte
	var path strings.Builder
	path.Grow(len(q.Dir) + 1 + len(head) + 32 + len(tail))
	path.WriteString(q.Dir)
	path.WriteByte(filepath.Separator)
	path.WriteString(head)
	path.Write(ticket.AppendNonce(nonce[:0]))
	path.WriteString(tail)
	return path.String(), nil
}

func (q *Queue) around(place liveness.Place) (head, tail string, err error) {
	f := q.frame
	if f == nil {
		f = new(frame)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head == "" || f.place != place {
		self, err := liveness.Self()
		if err != nil {
			return "", "", err
		}
		f.place = place
		f.head, f.tail = ticket.Name{
			Host: self.Host, PID: self.PID, Start: self.Start,
			PIDSpace: self.PIDSpace, Place: place, Lease: q.Lease, Shared: q.Shared,
		}.Frame(q.Prefix)
	}
	return f.head, f.tail, nil
}
