//go:build unix

package ticketdir

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/idle"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
)

// handle is an open directory, shared by all its queues' users.
type handle struct {
	path        string
	fd          int
	id          fileID
	filesystem  liveness.Filesystem
	place       liveness.Place
	atOnce      bool // see answersAtOnce
	sticky      bool // only owners may remove
	followsOpen bool // many kernels, and only an open has the server asked

	// Guarded by handles.mu.
	users int
	rest  idle.Timer
	stale bool // no longer what path names
	again bool // path was used before, and so may be used again

	listing sync.Mutex   // the descriptor's position
	marks   atomic.Int32 // whether they are kept; see restMark
}

func newHandle(path string) (*handle, error) {
	fd, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	st, err := fstat(fd)
	if err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	h := &handle{path: path, fd: fd, id: st.id, sticky: st.mode&unix.S_ISVTX != 0}
	h.filesystem, h.followsOpen = filesystemOf(fd)
	h.place, h.atOnce = h.filesystem.Place(), answersAtOnce(h.filesystem)
	h.rest = idle.Timer{After: keep, Expire: h.expire}
	return h, nil
}

// oneKernel reports whether listings and attributes show what is there now.
func (h *handle) oneKernel() bool { return h.filesystem.OneKernel }

// fstat is fstat of the directory, or of a file in it.
func (h *handle) fstat(fd int) (stat, error) {
	if h.atOnce {
		return fstatAtOnce(fd)
	}
	return fstat(fd)
}

// entries reports whether tickets have entry locks here (R13).
func (h *handle) entries() bool { return hasEntries && h.oneKernel() }

// names lists the queue's entries of the directory, in a listing begun after
// the call. No string is made of the known tickets' names, nor of the own one.
func (h *handle) names(q *Queue, own string, known map[string]queue.Ticket, to *[]entry) error {
	last := *to
	*to = (*to)[:0]
	return h.list(func(name []byte) {
		if t, ok := known[string(name)]; ok {
			*to = append(*to, entry{name: t.Name, plain: t.Plain, shared: t.Shared, number: t.Number, numbered: true})
			return
		}
		// Most names are those of the last listing, in the same order: they need
		// not be parsed again, nor made a string of (a twentieth of a hand-off among
		// sixteen processes). What is appended may overwrite what is left of these:
		// that is no less right.
		for i := range min(2, len(last)) {
			if last[i].name == string(name) {
				e := last[i]
				e.numbered, last = false, last[i+1:]
				*to = append(*to, e)
				return
			}
		}
		if e, ok := q.classify(name, own); ok {
			*to = append(*to, e)
		}
	})
}

// removed reports whether an error of a listing says that the open directory
// itself is gone, and every ticket in it.
func removed(err error) bool { return err == unix.ENOENT || err == unix.ESTALE }

// disconnected reports whether err says that the filesystem of an open directory
// is no more, as when a FUSE server has died. Another may be mounted there.
func disconnected(err error) bool { return err == unix.ENOTCONN || err == unix.ECONNABORTED }

func outOfFiles(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}
