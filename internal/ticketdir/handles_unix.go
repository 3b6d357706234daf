//go:build unix

package ticketdir

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// keep is how long an unused directory stays open that was used before: long
	// enough that a loop of acquisitions opens it twice, short enough that nobody who
	// unmounts the filesystem meets us.
	keep = time.Second / 2
	// maxIdle is how many do: who locks one directory after another must not
	// run out of descriptors.
	maxIdle = 16
)

var handles = struct {
	mu   sync.Mutex
	open map[string]*handle
	idle []*handle // without users, the one that was used last is the last
	// used are the paths of those that were closed after their first use. Many
	// processes make no other, and to have one closed later takes the runtime's timers
	// and its poller, which are a tenth of a process's first acquisition.
	used [maxIdle]string
	next int // the place in used that is filled next
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
		h.again = slices.Contains(handles.used[:], path)
	} else {
		h.again = true
	}
	if i := slices.Index(handles.idle, h); i >= 0 {
		handles.idle = slices.Delete(handles.idle, i, i+1)
	}
	h.users++
	return h
}

// use adds one more user to a handle that has some.
func (h *handle) use() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	h.users++
}

func (h *handle) release() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	switch h.users--; {
	case h.users > 0:
	case h.stale:
		unix.Close(h.fd)
	case !h.again:
		handles.used[handles.next] = h.path
		handles.next = (handles.next + 1) % len(handles.used)
		h.shut()
	default:
		handles.idle = append(handles.idle, h)
		h.rest.Used()
		if len(handles.idle) > maxIdle {
			handles.idle[0].shut()
		}
	}
}

// expire closes the directory if nobody used it of late.
func (h *handle) expire() {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	// Of a retired one, the last release sees to the end; or it was shut.
	if retired := handles.open[h.path] != h; h.rest.Over(h.users > 0 || retired) {
		h.shut()
	}
}

// shut closes an idle directory. handles.mu is held.
func (h *handle) shut() {
	delete(handles.open, h.path)
	handles.idle = slices.DeleteFunc(handles.idle, func(i *handle) bool { return i == h })
	unix.Close(h.fd)
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

// Spare is asked to close what others keep open without need, when there is no
// descriptor left. It reports whether there was something.
var Spare = func() bool { return false }

// CloseIdle closes the directories that are open for later use only. They are
// closed anyway before long.
func CloseIdle() { closeIdle() }

// CloseDir closes the directory of that path, if it is open for later use only.
func CloseDir(path string) {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	if h := handles.open[path]; h != nil && h.users == 0 {
		h.shut()
	}
}

// closeAnything makes room for another descriptor, and reports whether there is
// some.
func closeAnything() bool {
	rests := Spare()
	return closeIdle() || rests
}

func closeIdle() (some bool) {
	handles.mu.Lock()
	defer handles.mu.Unlock()
	for len(handles.idle) > 0 {
		handles.idle[0].shut()
		some = true
	}
	return some
}
