package wake

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/idle"
)

// events are what can let the next contender in: the ticket's name is removed
// (which changes its link count), its number changes, or the owner dies and the
// kernel closes the ticket, which the owner had open for writing.
//
// One event is enough, for everything is looked at again after it. So each
// watch is good for one, and neither the owner's close after the removal nor
// our own removal of the watch costs a wake-up or a call.
const events = unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_CLOSE_WRITE | unix.IN_ONESHOT | unix.IN_DONT_FOLLOW

// notifier is an inotify instance, one for all waiters of the process: a user
// may have only 128.
//
// No goroutine of its own reads it. One of those who wait does, and passes on
// what concerns the others; when it has what it waited for, another takes over.
// A reader apart would be one more goroutine to wake at every hand-off, and
// would have to be ended again.
//
// It is closed when nobody has used it for a while: other programs of the user
// need theirs.
type notifier struct {
	mu        sync.Mutex
	fd        int // -1: not open
	file      *os.File
	unused    idle.Timer
	refused   time.Time
	watches   map[int32][]*watch
	followers []*watch // that wait while another one reads
	reading   bool
	broken    bool
	alone     bool      // of one waiter, and closed with its watch
	deadline  time.Time // the file's

	buf [64 * (unix.SizeofInotifyEvent + unix.NAME_MAX + 1)]byte // the reader's
}

// Files that other kernels may change have an instance of their own: to set a
// watch on one may take until a server answers, and others must not wait for it.
var (
	local  = notifier{fd: -1, watches: map[int32][]*watch{}}
	remote = notifier{fd: -1, watches: map[int32][]*watch{}}
)

// watch is one waiter's interest in one event of one file.
type watch struct {
	n     *notifier
	wd    int32
	fired bool          // guarded by notifier.mu, as lead is
	lead  bool          // this follower is to read from now on
	c     chan struct{} // has room for the one word that it fired or leads
}

// notifierFor returns the instance for a file. In a bubble of testing/synctest it
// is one for this file alone: no word may go from one bubble to another.
func notifierFor(complete bool) *notifier {
	switch {
	case bubble.Inside():
		return &notifier{fd: -1, watches: map[int32][]*watch{}, alone: true}
	case complete:
		return &local
	default:
		return &remote
	}
}

// newWatch sets a watch. It returns nil where there is none to be had; unable
// says that there is no use in trying again, and missing that the file is not
// there, for which the watch has fired.
func newWatch(path string, complete bool) (w *watch, unable, missing bool) {
	n := notifierFor(complete)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken || n.open() != nil {
		return nil, true, false
	}
	defer n.rest()
	wd, err := unix.InotifyAddWatch(n.fd, path, events)
	switch {
	case errors.Is(err, unix.ENOENT):
		return &watch{n: n, wd: -1, fired: true}, false, true
	case err != nil:
		return nil, true, false
	}
	// Several waiters may watch one file: the kernel gives them one number.
	w = &watch{n: n, wd: int32(wd), c: make(chan struct{}, 1)}
	n.watches[w.wd] = append(n.watches[w.wd], w)
	return w, false, false
}

// keep is how long an instance stays open when nobody waits: to close one takes
// the kernel over ten milliseconds, and to refuse one as long.
const keep = time.Second

func (n *notifier) open() error {
	if n.fd >= 0 {
		return nil
	}
	if time.Since(n.refused) < keep {
		return unix.EMFILE
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		n.refused = time.Now()
		return err
	}
	file := os.NewFile(uintptr(fd), "inotify")
	if err := file.SetReadDeadline(time.Time{}); err != nil {
		file.Close() // the runtime cannot wait for it
		return err
	}
	n.fd, n.file, n.deadline = fd, file, time.Time{}
	n.unused.After, n.unused.Expire = keep, n.expire
	return nil
}

// rest sees to the instance's end once nobody waits. n.mu is held.
func (n *notifier) rest() {
	switch {
	case len(n.watches) > 0:
	case n.alone:
		n.close()
	default:
		n.unused.Used()
	}
}

// close closes the instance. n.mu is held.
func (n *notifier) close() {
	if n.file != nil {
		go n.file.Close()
		n.fd, n.file = -1, nil
	}
}

// expire closes the instance if nobody used it of late.
func (n *notifier) expire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.unused.Over(n.reading || len(n.watches) > 0) {
		n.close()
	}
}

// wait returns whether the watch has fired: when it does, when ctx is done, or
// when it is time to look again, after d or earlier.
func (w *watch) wait(ctx context.Context, d time.Duration) (fired bool) {
	n := w.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if !w.fired && n.reading {
		if n.follow(ctx, w, d); !w.lead {
			n.rest()
			return w.fired
		}
		w.lead = false
	} else if !w.fired {
		n.reading = true
	}
	if !w.fired {
		n.read(ctx, w, d)
		n.reading = false
		n.promote()
	}
	n.rest()
	return w.fired
}

// follow waits while another waiter reads. n.mu is held, but not meanwhile.
func (n *notifier) follow(ctx context.Context, w *watch, d time.Duration) {
	n.followers = append(n.followers, w)
	n.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.c:
	case <-timer.C:
	}
	n.mu.Lock()
	if i := slices.Index(n.followers, w); i >= 0 {
		n.followers = slices.Delete(n.followers, i, i+1)
	}
	if w.lead && (w.fired || ctx.Err() != nil) {
		w.lead, n.reading = false, false
		n.promote()
	}
}

// promote makes one of the followers the reader. n.mu is held.
func (n *notifier) promote() {
	if len(n.followers) == 0 {
		return
	}
	w := n.followers[0]
	n.followers = n.followers[1:]
	n.reading, w.lead = true, true
	w.tell()
}

// tell wakes a follower.
func (w *watch) tell() {
	select {
	case w.c <- struct{}{}:
	default: // it has a word to read already
	}
}

// read reads events until w fires, ctx is done or it is time to look again.
// n.mu is held, but not while it waits.
func (n *notifier) read(ctx context.Context, w *watch, d time.Duration) {
	n.setDeadline(d)
	if ctx.Done() != nil {
		// If this comes late, it makes the next reader look once more.
		defer context.AfterFunc(ctx, n.interrupt)()
	}
	for !w.fired && ctx.Err() == nil {
		n.mu.Unlock()
		size, err := n.file.Read(n.buf[:])
		n.mu.Lock()
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				n.broken = true // nobody would be told of anything
				n.fireAll()
			}
			return
		}
		n.dispatch(n.buf[:size])
	}
}

// setDeadline has reads end after d at the latest. A deadline that is nearer
// stays: to look early does no harm, while every new one costs the runtime a
// wake-up of its own.
func (n *notifier) setDeadline(d time.Duration) {
	now := time.Now()
	if n.deadline.After(now) && n.deadline.Before(now.Add(d)) {
		return
	}
	n.deadline = now.Add(d)
	n.file.SetReadDeadline(n.deadline)
}

// interrupt ends the read that is under way, or else the next one.
func (n *notifier) interrupt() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deadline = time.Time{}
	if n.file != nil {
		n.file.SetReadDeadline(time.Unix(1, 0))
	}
}

func (n *notifier) dispatch(buf []byte) {
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
}

func (n *notifier) fireAll() {
	for wd := range n.watches {
		n.fire(wd)
	}
}

func (n *notifier) fire(wd int32) {
	for _, w := range n.watches[wd] {
		w.fired = true
		w.tell()
	}
	delete(n.watches, wd)
}

func (w *watch) stop() {
	n := w.n
	n.mu.Lock()
	defer n.mu.Unlock()
	rest := n.watches[w.wd]
	i := slices.Index(rest, w)
	if i < 0 {
		return // it has fired; the number may be another file's by now
	}
	if rest = slices.Delete(rest, i, i+1); len(rest) > 0 {
		n.watches[w.wd] = rest
		return
	}
	delete(n.watches, w.wd)
	_, _ = unix.InotifyRmWatch(n.fd, uint32(w.wd))
	n.rest()
}
