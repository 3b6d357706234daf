//go:build unix

package ticketdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Own is one ticket of this process, and the queue as its owner sees it. It
// implements queue.Directory. One goroutine at a time may use it.
type Own struct {
	View   // its handle is nil before Create and after Remove
	name   string
	fd     int      // the ticket, open for writing: its end wakes the watchers
	raised []string // our raised entries

	// times guards the ticket's times against a heartbeat beside Renumber.
	times  sync.Mutex
	final  bool // settled: heartbeats may begin
	number queue.Number

	// stale: something of ours changed since the last change of the directory
	// that makes a listing fresh (R10).
	stale   bool
	orphans []string       // raised entries without a ticket in the last listing
	tickets []queue.Ticket // as last listed
	entries []entry

	// What entries and tickets begin with: in most listings nobody else is.
	roomForEntries [2]entry
	roomForTickets [2]queue.Ticket
}

// New returns a ticket yet to be created.
func New(q Queue) *Own {
	o := &Own{View: View{q: q}, fd: -1}
	o.entries = o.roomForEntries[:0]
	return o
}

// Name returns the ticket's name, "" before Create.
func (o *Own) Name() string { return o.name }

// Path returns the ticket's path.
func (o *Own) Path() string { return o.q.Dir + "/" + o.name }

// Create makes the ticket (R1).
//
// It goes by path, while listings go by the open directory: should the path
// by now name another directory, the ticket is missing from the first listing.
func (o *Own) Create() (string, error) {
	name, err := o.create()
	if o.q.MakeDir && errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(o.q.Dir, 0o777); err != nil {
			return "", err
		}
		name, err = o.create()
	}
	return name, err
}

func (o *Own) create() (string, error) {
	h, err := openHandle(o.q.Dir)
	if err != nil {
		return "", err
	}
	path := o.q.newPath(h.here())
	flags := unix.O_CREAT | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if h.oneKernel {
		// Elsewhere an exclusive create may keep a verifier in the file's
		// times for a while (R10). The nonce makes the name ours alone.
		flags |= unix.O_EXCL
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(unix.AT_FDCWD, path, flags, uint32(o.q.Mode.Perm()))
	})
	if err == nil && o.q.ExactMode {
		if err = unix.Fchmod(fd, uint32(o.q.Mode.Perm())); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		if err == unix.ENOENT {
			h.retire() // the directory itself is gone
		} else {
			unix.Unlink(path) // a server may have made it and failed to say so
		}
		h.release()
		return "", &fs.PathError{Op: "create", Path: path, Err: err}
	}
	o.h, o.fd, o.name = h, fd, path[len(o.q.Dir)+1:]
	o.tickets, o.stale = nil, false // of a ticket before
	return o.name, nil
}

// List returns all tickets of the queue. The own ticket's presence proves
// that the listing shows what is there: where the open directory does not
// show it, the directory is opened anew.
func (o *Own) List() ([]queue.Ticket, error) {
	if o.stale && !o.h.oneKernel {
		if err := o.scratch(); err != nil {
			return nil, err
		}
	}
	known := o.known()
	err := o.h.names(&o.q, o.name, known, &o.entries)
	switch {
	case removed(err):
		o.entries = o.entries[:0]
	case err != nil:
		return nil, wrap("list", o.q.Dir, err)
	}
	if !o.listed() {
		if err := o.reopen(known); err != nil {
			return nil, err
		}
	}
	tickets, raised, err := o.numbers(o.entries, o.room(), o.read)
	if err != nil {
		return nil, err
	}
	o.tickets = tickets
	o.sweep(ticket.Merge(o.tickets, raised))
	return o.tickets, nil
}

// room returns where the first listing's tickets go; later ones may not use it,
// since the caller owns what it got.
func (o *Own) room() []queue.Ticket {
	if o.tickets != nil {
		return nil
	}
	return o.roomForTickets[:0]
}

// listed reports whether the last listing shows the own ticket.
func (o *Own) listed() bool {
	return slices.ContainsFunc(o.entries, func(e entry) bool { return e.name == o.name })
}

// removed reports whether an error of a listing says that the open directory
// itself is gone, and every ticket in it.
func removed(err error) bool { return err == unix.ENOENT || err == unix.ESTALE }

// passed reports whether err says that a name is no ticket (any more).
func passed(err error) bool {
	return err == unix.ENOENT || err == unix.ELOOP || err == unix.ENXIO || err == unix.ENODEV || err == errNotRegular
}

var errNotRegular = errors.New("not a regular file")

// known returns the others' tickets of the first listing of the doorway in the
// second one, which may use those numbers: they only rise until then, so that a
// ticket whose owner raised it meanwhile is taken for lower than it is, and
// looked at again before it is waited for. That spares a call for each ticket
// where many wait.
func (o *Own) known() map[string]queue.Ticket {
	if o.final || len(o.tickets) < 2 {
		return nil
	}
	known := make(map[string]queue.Ticket, len(o.tickets))
	for _, t := range o.tickets {
		if t.Name != o.name {
			known[t.Name] = t
		}
	}
	return known
}

// reopen lists the directory that the path names now. Only if it shows the own
// ticket, and is the directory that the ticket's name was made for, does the
// ticket count.
func (o *Own) reopen(known map[string]queue.Ticket) error {
	h, err := newHandle(o.q.Dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			o.h.retire()
			return queue.ErrGone
		}
		return err
	}
	defer unix.Close(h.fd)
	if h.dev != o.h.dev || h.ino != o.h.ino {
		o.h.retire()
		return queue.ErrGone
	}
	if err := h.names(&o.q, o.name, known, &o.entries); err != nil {
		return wrap("list", o.q.Dir, err)
	}
	if !o.listed() {
		return queue.ErrGone
	}
	return nil
}

// read is View.read, but for the own ticket by its descriptor.
func (o *Own) read(name string) (queue.Number, error) {
	if name != o.name {
		return o.View.read(name)
	}
	var st unix.Stat_t
	err := unix.Fstat(o.fd, &st)
	return numberOf(st.Mtim), err
}

func numberOf(ts unix.Timespec) queue.Number {
	return queue.Number{Sec: int64(ts.Sec), Nsec: int32(ts.Nsec)}
}

// openTicket opens another's ticket for reading. It follows no link and does
// not block, whatever stands there.
func (h *handle) openTicket(name string) (int, error) {
	for range 3 {
		fd, err := h.tryOpenTicket(name)
		if err != unix.ESTALE {
			return fd, err
		}
		// Its removal by another client is only half known here.
	}
	return -1, unix.ENOENT
}

func (h *handle) tryOpenTicket(name string) (int, error) {
	return retry(func() (int, error) {
		return unix.Openat(h.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
}

// Renumber sets both times, since some filesystems change the one that is left
// out, and reads back what was kept.
func (o *Own) Renumber(n queue.Number) (queue.Number, error) {
	o.times.Lock()
	defer o.times.Unlock()
	if err := o.setTimes(n, time.Now()); err != nil {
		return queue.Number{}, err
	}
	o.stale = true
	number, err := o.read(o.name)
	if err != nil {
		return queue.Number{}, wrap("stat", o.Path(), err)
	}
	o.number = number
	return number, nil
}

func (o *Own) setTimes(n queue.Number, accessed time.Time) error {
	at, err := unix.TimeToTimespec(accessed)
	if err != nil {
		return wrap("chtimes", o.Path(), err)
	}
	mt, err := unix.TimeToTimespec(n.Time())
	if err != nil {
		return wrap("chtimes", o.Path(), err)
	}
	err = unix.UtimesNanoAt(o.h.fd, o.name, []unix.Timespec{at, mt}, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT:
		return queue.ErrGone
	case err != nil:
		return wrap("chtimes", o.Path(), err)
	}
	return nil
}

// Announce makes the entry that carries the raised number in its name. Being a
// change of the directory of our own, it makes the next listing fresh.
func (o *Own) Announce(n queue.Number) error {
	if o.h.oneKernel {
		return nil
	}
	name := ticket.Raised(o.name, n)
	if err := o.touch(name); err != nil {
		return err
	}
	o.raised = append(o.raised, name)
	o.stale = false
	return nil
}

func (o *Own) touch(name string) error {
	fd, err := retry(func() (int, error) {
		return unix.Openat(o.h.fd, name, unix.O_CREAT|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(o.q.Mode.Perm()))
	})
	if err != nil {
		return wrap("create", o.q.Dir+"/"+name, err)
	}
	unix.Close(fd)
	return nil
}

// scratch changes the directory and leaves it as it was.
func (o *Own) scratch() error {
	name := o.q.Prefix + ticket.NewNonce() + ".scratch"
	if err := o.touch(name); err != nil {
		return err
	}
	o.stale = false
	if err := unix.Unlinkat(o.h.fd, name, 0); err != nil && err != unix.ENOENT {
		return wrap("remove", o.q.Dir+"/"+name, err)
	}
	return nil
}

// sweep removes raised entries that two listings in a row showed without their
// ticket. One listing is no proof: ticket and entry may both have been created
// while it ran, and only the entry seen.
func (o *Own) sweep(orphans []string) {
	for _, name := range orphans {
		if slices.Contains(o.orphans, name) {
			unix.Unlinkat(o.h.fd, name, 0)
		}
	}
	o.orphans = orphans
}

// Settle takes the witness. The order matters: whoever removes this ticket as
// unwitnessed does so while it holds the lock itself, so that once we have the
// lock, either the ticket is gone, and we see it, or it stays.
func (o *Own) Settle() error {
	switch err := o.takeWitness(); {
	case noLocks(err):
		if n, _ := ticket.Parse(o.q.Prefix, o.name); n.Place != 0 {
			// A free witness must not be held against us: have the
			// ticket made again, with no place in its name.
			o.h.setPlaceless()
			return queue.ErrGone
		}
	case err != nil:
		return wrap("lock", o.Path(), err)
	}
	st, err := o.standing()
	if err != nil {
		return err
	}
	o.times.Lock()
	o.final, o.number = true, numberOf(st.Mtim)
	o.times.Unlock()
	if o.q.Lease == 0 {
		return nil
	}
	return o.showRenewal(beatOf(&st))
}

// showRenewal checks that a renewal can be seen. Its time is one that differs
// from the creation's even where whole seconds are stored.
func (o *Own) showRenewal(before Beat) error {
	o.times.Lock()
	defer o.times.Unlock()
	if err := o.setTimes(o.number, time.Now().Add(-10*time.Second)); err != nil {
		return err
	}
	st, err := o.standing()
	switch {
	case err != nil:
		return err
	case numberOf(st.Mtim) != o.number:
		return queue.ErrMoved
	case beatOf(&st) == before:
		return wrap("chtimes", o.Path(), fmt.Errorf("%w: this filesystem shows no renewal of a lease", errors.ErrUnsupported))
	}
	return nil
}

// Beat renews the lease once the ticket is settled, and checks that it stands
// as it did: queue.ErrGone, queue.ErrMoved. It writes both times, since a
// filesystem may change the one that is left out, and reads the number back.
// It may be called beside the other methods.
func (o *Own) Beat() error {
	o.times.Lock()
	defer o.times.Unlock()
	if !o.final {
		return nil
	}
	st, err := o.standing()
	if err != nil {
		return err
	}
	if numberOf(st.Mtim) != o.number {
		return queue.ErrMoved
	}
	if err := o.setTimes(o.number, time.Now()); err != nil {
		return err
	}
	if st, err = o.links(); err == nil && numberOf(st.Mtim) != o.number {
		err = queue.ErrMoved
	}
	return err
}

func beatOf(st *unix.Stat_t) Beat {
	return Beat{Accessed: numberOf(st.Atim), Changed: numberOf(st.Ctim)}
}

// noLocks reports whether err says that this filesystem has no locks, now.
func noLocks(err error) bool {
	return err == unix.ENOLCK || err == unix.EOPNOTSUPP || err == unix.ENOTSUP || err == unix.ENOSYS || err == unix.EINVAL
}

// flock is a variable for the tests of filesystems without locks.
var flock = unix.Flock

// takeWitness locks the ticket. A prober may have the lock for some
// microseconds, and often has when several contend; a sleep, however short,
// takes near a millisecond then, and everybody behind would wait for it too.
// One that was stopped at just that moment keeps us out for longer.
func (o *Own) takeWitness() error {
	const (
		spins    = 100
		patience = 2 * time.Second
	)
	var waited time.Duration
	for try := 0; ; try++ {
		err := flock(o.fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == unix.EINTR {
			continue
		}
		if err != unix.EWOULDBLOCK && err != unix.EACCES { // as CIFS says that it is held
			return err
		}
		if waited >= patience {
			return fmt.Errorf("somebody else has kept a lock on it for %v: %w", patience, err)
		}
		if try < spins {
			runtime.Gosched()
			continue
		}
		time.Sleep(time.Millisecond)
		waited += time.Millisecond
	}
}

// links returns the own ticket's state, or ErrGone once it has no name.
func (o *Own) links() (st unix.Stat_t, err error) {
	if err := unix.Fstat(o.fd, &st); err != nil {
		if err == unix.ESTALE {
			return st, queue.ErrGone
		}
		return st, wrap("stat", o.Path(), err)
	}
	if st.Nlink == 0 {
		return st, queue.ErrGone
	}
	return st, nil
}

// standing is links, but asks the directory by name where an open descriptor
// does not tell that the name is gone: NFS renames what is removed while it is
// open, CIFS says nothing, and a ticket may have been linked elsewhere.
func (o *Own) standing() (unix.Stat_t, error) {
	st, err := o.links()
	if err != nil || o.h.oneKernel && st.Nlink == 1 {
		return st, err
	}
	fd, err := o.h.openTicket(o.name)
	switch {
	case err == unix.ENOENT:
		return st, queue.ErrGone
	case err != nil:
		return st, wrap("open", o.Path(), err)
	}
	unix.Close(fd)
	return st, nil
}

// Confirm returns the own number.
func (o *Own) Confirm() (queue.Number, error) {
	st, err := o.standing()
	return numberOf(st.Mtim), err
}

// Remaining returns those of ts that a listing still shows (R9). It runs at
// every hand-off, and looks for no other names.
func (o *Own) Remaining(ts []queue.Ticket) ([]queue.Ticket, error) {
	there := make(map[string]bool, len(ts)+1)
	there[o.name] = false
	for _, t := range ts {
		there[t.Name] = false
	}
	err := o.h.list(func(name []byte) {
		if _, asked := there[string(name)]; asked {
			there[string(name)] = true
		}
	})
	if err != nil && !removed(err) {
		return nil, wrap("list", o.q.Dir, err)
	}
	if !there[o.name] {
		// As in List: a listing without the own ticket proves nothing.
		if err := o.reopen(nil); err != nil {
			return nil, err
		}
		for _, e := range o.entries {
			there[e.name] = true
		}
	}
	return slices.DeleteFunc(ts, func(t queue.Ticket) bool { return !there[t.Name] }), nil
}

// Remove removes the ticket, then its raised entries. After an error other
// than ErrGone the ticket is still there, and Remove may be called again.
func (o *Own) Remove() error {
	if o.h == nil {
		return nil
	}
	o.times.Lock() // no heartbeat meanwhile, nor after
	defer o.times.Unlock()
	gone := false
	err := unix.Unlinkat(o.h.fd, o.name, 0)
	if err == unix.ENOENT || err == unix.ESTALE {
		// Perhaps it was made in another directory than the open one.
		err = unix.Unlink(o.Path())
		gone = err == unix.ENOENT || err == unix.ENOTDIR
	}
	if err != nil && !gone {
		return wrap("remove", o.Path(), err)
	}
	for _, name := range o.raised {
		unix.Unlinkat(o.h.fd, name, 0)
	}
	unix.Close(o.fd)
	o.h.release()
	o.h, o.fd, o.raised, o.final = nil, -1, nil, false
	if gone {
		return queue.ErrGone
	}
	return nil
}

// Witness returns a duplicate of the open ticket. While any duplicate is open,
// here or in a child process, the witness is held.
func (o *Own) Witness() (*os.File, error) {
	fd, err := retry(func() (int, error) { return unix.FcntlInt(uintptr(o.fd), unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return nil, wrap("dup", o.Path(), err)
	}
	return os.NewFile(uintptr(fd), o.Path()), nil
}

func wrap(op, path string, err error) error {
	if errors.Is(err, queue.ErrGone) {
		return err
	}
	var already *fs.PathError
	if errors.As(err, &already) {
		return err
	}
	return &fs.PathError{Op: op, Path: filepath.Clean(path), Err: err}
}
