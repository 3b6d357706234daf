package probe

import (
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// freshTime has the filesystem ask its server, if it has one.
func freshTime(f *os.File) (time.Time, error) {
	var st unix.Statx_t
	switch err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st); {
	case err == nil:
		return time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)), nil
	case !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM):
		return time.Time{}, &os.PathError{Op: "statx", Path: f.Name(), Err: err}
	}
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// lock takes a lock, or reports that somebody else has it.
func lock(f *os.File, kind LockKind) (held bool, err error) {
	if kind == Flock {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	} else {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1})
	}
	return answer(err)
}

func lockOf(f *os.File) (held bool, err error) {
	l := unix.Flock_t{Type: unix.F_RDLCK, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return answer(err)
	}
	return l.Type != unix.F_UNLCK, nil
}

// answer tells apart that somebody has the lock, that there are no locks, and what
// went wrong.
func answer(err error) (held bool, _ error) {
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES): // SMB answers EACCES
		return true, nil
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return false, errors.Join(errors.ErrUnsupported, err)
	default:
		return false, err
	}
}

// watcher is told by the kernel of changes in a directory.
type watcher struct {
	mu   sync.Mutex
	file *os.File
	seen map[string]bool
}

func (w *watcher) watch(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		return nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("inotify_init1", err)
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_DELETE|unix.IN_ATTRIB|unix.IN_CREATE); err != nil {
		unix.Close(fd)
		return os.NewSyscallError("inotify_add_watch", err)
	}
	w.file, w.seen = os.NewFile(uintptr(fd), "inotify"), map[string]bool{}
	return nil
}

func (w *watcher) told(name string, within time.Duration) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return false, os.ErrClosed
	}
	if err := w.file.SetReadDeadline(time.Now().Add(within)); err != nil {
		return false, err
	}
	var buf [64 << 10]byte
	for !w.seen[name] {
		n, err := w.file.Read(buf[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			length := int(uint32(b[12]) | uint32(b[13])<<8 | uint32(b[14])<<16 | uint32(b[15])<<24)
			end := min(unix.SizeofInotifyEvent+length, len(b))
			w.seen[strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")] = true
			b = b[end:]
		}
	}
	delete(w.seen, name)
	return true, nil
}

func (w *watcher) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
