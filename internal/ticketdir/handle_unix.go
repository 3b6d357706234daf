//go:build unix

package ticketdir

import (
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

// idle is how long an unused directory stays open at the least, and half the
// longest time: long enough that a loop of acquisitions opens it once, short
// enough that nobody who unmounts the filesystem meets us.
const idle = time.Second / 2

// handle is an open directory, shared by all its queues' users.
type handle struct {
	path      string
	fd        int
	dev, ino  uint64
	place     ticket.Hash
	oneKernel bool

	// Guarded by handles.mu.
	users  int
	used   bool // since expire last looked
	timing bool // expire will look
	stale  bool // no longer what path names
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
	return &handle{
		path: path, fd: fd, dev: uint64(st.Dev), ino: uint64(st.Ino),
		place: liveness.Self().Place(uint64(st.Dev), oneKernel), oneKernel: oneKernel,
	}, nil
}

func openDir(at int, path string) (fd int, err error) {
	return retry(func() (int, error) {
		return unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
}

func (h *handle) release() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	h.users--
	switch h.used = true; {
	case h.users > 0:
	case h.stale:
		unix.Close(h.fd)
	case !h.timing:
		h.timing = true
		time.AfterFunc(idle, h.expire)
	}
}

// expire closes the directory if it was not used lately, or looks again later:
// to set a timer anew at every acquisition would cost more than all else here.
func (h *handle) expire() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	h.timing = false
	switch {
	case h.users > 0 || handles.open[h.path] != h: // the last release sees to it
	case h.used:
		h.used, h.timing = false, true
		time.AfterFunc(idle, h.expire)
	default:
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
