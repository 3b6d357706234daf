//go:build unix

package ticketdir

import (
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/idle"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// keep is how long an unused directory stays open: long enough that a loop of
// acquisitions opens it once, short enough that nobody who unmounts the
// filesystem meets us.
const keep = time.Second / 2

// handle is an open directory, shared by all its queues' users.
type handle struct {
	path      string
	fd        int
	dev, ino  uint64
	place     ticket.Hash
	oneKernel bool

	// Guarded by handles.mu.
	users int
	rest  idle.Timer
	stale bool // no longer what path names
	// placeless: locks do not work here, so that a free witness means nothing.
	placeless bool

	listing sync.Mutex // the descriptor's position
}

var handles = struct {
	mu   sync.Mutex
	open map[string]*handle
}{open: map[string]*handle{}}

// openHandle returns the directory's handle. The caller owes a release.
func openHandle(path string) (*handle, error) {
	if h := share(path, nil); h != nil {
		return h, nil
	}
	// Not under the mutex: a server that does not answer must not hold up
	// those who use other directories.
	h, err := newHandle(path)
	if err != nil {
		return nil, err
	}
	shared := share(path, h)
	if shared != h {
		unix.Close(h.fd) // somebody else was faster
	}
	return shared, nil
}

// share returns the directory's open handle with one more user. If there is
// none, it is to be fresh, which may be nil.
func share(path string, fresh *handle) *handle {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	h := handles.open[path]
	if h == nil {
		if h = fresh; h == nil {
			return nil
		}
		handles.open[path] = h
	}
	h.users++
	return h
}

func newHandle(path string) (*handle, error) {
	fd, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	oneKernel := isOneKernel(fd)
	h := &handle{
		path: path, fd: fd, dev: uint64(st.Dev), ino: uint64(st.Ino),
		place: liveness.Self().Place(uint64(st.Dev), oneKernel), oneKernel: oneKernel,
	}
	h.rest = idle.Timer{After: keep, Expire: h.expire}
	return h, nil
}

func openDir(at int, path string) (fd int, err error) {
	return retry(func() (int, error) {
		return unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
}

func (h *handle) release() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	switch h.users--; {
	case h.users > 0:
	case h.stale:
		unix.Close(h.fd)
	default:
		h.rest.Used()
	}
}

// expire closes the directory if nobody used it of late.
func (h *handle) expire() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	// Of a retired one, the last release sees to the end.
	if retired := handles.open[h.path] != h; h.rest.Over(h.users > 0 || retired) {
		delete(handles.open, h.path)
		unix.Close(h.fd)
	}
}

// retire makes the next openHandle open the path anew.
func (h *handle) retire() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	h.stale = true
	if handles.open[h.path] == h {
		delete(handles.open, h.path)
	}
}

// here returns the place to write into new tickets.
func (h *handle) here() ticket.Hash {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	if h.placeless {
		return 0
	}
	return h.place
}

func (h *handle) setPlaceless() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	h.placeless = true
}

// retry calls f again when a signal interrupted it.
func retry[T any](f func() (T, error)) (T, error) {
	for {
		v, err := f()
		if err != unix.EINTR {
			return v, err
		}
	}
}

// names lists the queue's entries of the directory, in a listing begun after
// the call. No string is made of the known tickets' names, nor of the own one.
func (h *handle) names(q *Queue, own string, known map[string]queue.Ticket, to *[]entry) error {
	*to = (*to)[:0]
	return h.list(func(name []byte) {
		if t, ok := known[string(name)]; ok {
			*to = append(*to, entry{name: t.Name, plain: t.Plain, number: t.Number, numbered: true})
		} else if e, ok := q.classify(name, own); ok {
			*to = append(*to, e)
		}
	})
}
