package wake

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// events are what can let the next contender in: the ticket's name is removed
// (which changes its link count), its number changes, or the owner dies and the
// kernel closes the ticket, which the owner had open for writing.
//
// One event is enough, for everything is looked at again after it. So each
// watch is good for one, and neither the owner's close after the removal nor
// our own removal of the watch costs a wake-up or a call.
const events = unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_CLOSE_WRITE | unix.IN_ONESHOT | unix.IN_DONT_FOLLOW

// linger is how long the reading goroutine outlives the last watch.
const linger = 50 * time.Millisecond

// notifier is the process's one inotify instance: a user may have only 128.
type notifier struct {
	mu        sync.Mutex
	fd        int // -1: not opened yet
	file      *os.File
	watches   map[int32][]*watch
	reading   bool
	lingering bool // the reader has a deadline
}

var shared = notifier{fd: -1, watches: map[int32][]*watch{}}

// watch is one waiter's interest in one event of one file.
type watch struct {
	wd int32
	c  chan struct{}
}

func (w *watch) changed() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.c
}

// newWatch sets a watch. It returns nil where there is none to be had; unable
// says that there is no use in trying again.
func newWatch(path string) (w *watch, unable bool) {
	n := &shared
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.open(); err != nil {
		return nil, true
	}
	wd, err := unix.InotifyAddWatch(n.fd, path, events)
	switch {
	case errors.Is(err, unix.ENOENT):
		// The file is gone, so there was a change: a watch that has fired.
		w = &watch{wd: -1, c: make(chan struct{}, 1)}
		w.c <- struct{}{}
		return w, false
	case err != nil:
		return nil, true
	}
	// Several waiters may watch one file: the kernel gives them one number.
	w = &watch{wd: int32(wd), c: make(chan struct{}, 1)}
	n.watches[w.wd] = append(n.watches[w.wd], w)
	return w, false
}

// open makes the instance and sees to it that somebody reads from it.
func (n *notifier) open() error {
	if n.fd < 0 {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return err
		}
		n.fd, n.file = fd, os.NewFile(uintptr(fd), "inotify")
	}
	if !n.reading {
		if err := n.file.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		n.reading, n.lingering = true, false
		go n.read()
	}
	return nil
}

// read passes events on until nobody has watched anything for a while.
func (n *notifier) read() {
	var buf [64 * (unix.SizeofInotifyEvent + unix.NAME_MAX + 1)]byte
	for {
		size, err := n.file.Read(buf[:])
		if err == nil {
			n.dispatch(buf[:size])
			continue
		}
		if n.finished(err) {
			return
		}
	}
}

// finished decides whether the reader ends.
func (n *notifier) finished(err error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lingering = false
	if errors.Is(err, os.ErrDeadlineExceeded) && len(n.watches) > 0 {
		if n.file.SetReadDeadline(time.Time{}) == nil {
			return false
		}
	}
	// Whatever else ended it, those who wait are to look for themselves.
	n.fireAll()
	n.reading = false
	return true
}

func (n *notifier) dispatch(buf []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf[unsafe.Offsetof(unix.InotifyEvent{}.Wd):]))
		mask := binary.NativeEndian.Uint32(buf[unsafe.Offsetof(unix.InotifyEvent{}.Mask):])
		nameLen := binary.NativeEndian.Uint32(buf[unsafe.Offsetof(unix.InotifyEvent{}.Len):])
		buf = buf[unix.SizeofInotifyEvent+int(nameLen):]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			n.fireAll()
			continue
		}
		// The notice that a watch is used up (IN_IGNORED) finds nobody left.
		n.fire(wd)
	}
	n.relax()
}

func (n *notifier) fireAll() {
	for wd := range n.watches {
		n.fire(wd)
	}
}

func (n *notifier) fire(wd int32) {
	for _, w := range n.watches[wd] {
		w.c <- struct{}{} // has room: a watch fires once
	}
	delete(n.watches, wd)
}

// relax lets the reader end some time after the last watch.
func (n *notifier) relax() {
	if len(n.watches) == 0 && n.reading && !n.lingering {
		n.lingering = n.file.SetReadDeadline(time.Now().Add(linger)) == nil
	}
}

func (w *watch) stop() {
	n := &shared
	n.mu.Lock()
	defer n.mu.Unlock()
	rest, ok := n.watches[w.wd]
	if !ok {
		return // it has fired
	}
	i := slices.Index(rest, w)
	if i < 0 {
		return // it has fired, and the number is another file's by now
	}
	if rest = slices.Delete(rest, i, i+1); len(rest) > 0 {
		n.watches[w.wd] = rest
		return
	}
	delete(n.watches, w.wd)
	unix.InotifyRmWatch(n.fd, uint32(w.wd))
	n.relax()
}
