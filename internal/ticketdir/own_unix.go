//go:build unix

package ticketdir

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// Own is one ticket of this process, and the queue as its owner sees it. It
// implements queue.Directory. One goroutine at a time may use it.
type Own struct {
	View          // its handle is nil before Create and after Remove
	file   string // its path
	name   string
	fd     int    // the ticket, open for writing: its end wakes the watchers; -1: see part
	id     fileID // of the ticket
	born   queue.Number
	raised []string // our raised entries
	listings

	placed    bool // its name says that there are locks
	entered   bool // the entry lock was taken
	witnessed bool // the witness was taken
	lent      bool // others may have the descriptor
	marked    bool // it may rest (R14)
	resting   bool // it does; guarded by times
	returns   int  // how often it came back
	waited    bool // some time has passed since the end of the doorway
	tidied    bool // see Tidied
	// inLineAgain: it got in line again (R15), and so have others, most likely.
	inLineAgain bool

	// times guards the ticket's times against a heartbeat beside Renumber.
	times  sync.Mutex
	final  bool // settled: heartbeats may begin
	number queue.Number
}

var _ queue.Directory = (*Own)(nil)

// New returns a ticket yet to be created.
func New(q Queue) *Own { return &Own{View: View{q: q}, fd: -1} }

// Again returns another ticket yet to be created, in the same place, for when this
// one is gone. It knows what this one learnt of the locks here.
func (o *Own) Again(q Queue) *Own {
	n := New(q)
	n.lockless = o.lockless
	return n
}

// Name returns the ticket's name, "" before Create.
func (o *Own) Name() string { return o.name }

// Path returns the ticket's path.
func (o *Own) Path() string { return o.file }

// Witness returns a duplicate of the open ticket. While any duplicate is open,
// here or in a child process, the witness is held. errors.ErrUnsupported: there
// are no locks here. It is safe to call beside the other methods.
func (o *Own) Witness() (*os.File, error) {
	o.times.Lock() // others may ask, too, and Remove waits
	defer o.times.Unlock()
	if o.h == nil || o.resting {
		return nil, wrap("lock", o.Path(), os.ErrClosed) // given back meanwhile
	}
	if err := o.open(); err != nil {
		return nil, wrap("open", o.Path(), err)
	}
	if !o.witnessed {
		if err := takeWitness(o.fd); err != nil {
			return nil, wrap("lock", o.Path(), unsupported(err))
		}
		o.witnessed = true
	}
	o.lent = true
	var fd int
	err := again(func() (err error) {
		fd, err = duplicate(o.fd)
		return err
	})
	if err != nil {
		return nil, wrap("dup", o.Path(), err)
	}
	return os.NewFile(uintptr(fd), o.Path()), nil
}

// open opens the own ticket if it is not open.
func (o *Own) open() (err error) {
	if o.fd < 0 {
		o.fd, err = openat(o.h.fd, o.name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	}
	return err
}
