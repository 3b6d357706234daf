// Package probe tests what a directory's filesystem does of what a lock of ticket
// files needs: each property by an experiment between two processes, since what a
// filesystem says of itself, or shows to one process, is no evidence.
package probe

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// End is one process's way to the directory under test. Names are those of files
// in it.
type End interface {
	// Create makes an empty file that must not exist.
	Create(name string) Result
	// Stat looks a file up as anybody would: caches may answer.
	Stat(name string) Result
	// Fresh opens a file and reads its attributes past the caches, as far as there
	// is a way to.
	Fresh(name string) Result
	// SetTime sets both times of a file and returns what a look through the open
	// file finds then.
	SetTime(name string, to time.Time) Result
	Remove(name string) Result
	// List returns the names of the directory.
	List() Result
	// Lock takes a lock of a file, without waiting, and keeps it until Unlock.
	Lock(name string, kind LockKind) Result
	Unlock(name string) Result
	// LockOf looks at another's lock of a file and does not take it.
	LockOf(name string) Result
	// Watch begins to watch the directory, and Told waits until something was told of
	// the file of that name.
	Watch() Result
	Told(name string, within time.Duration) Result
}

// LockKind is a kind of file lock.
type LockKind string

const (
	// Entry is a lock of an open file's first byte, as a ticket's owner has it inside.
	Entry LockKind = "entry"
	// Flock is flock(2).
	Flock LockKind = "flock"
)

// Result is what came of one operation. It goes over the wire, so an error is text
// and what the probes need to know of it.
type Result struct {
	Err         string
	Absent      bool // there is no such file
	Exists      bool // there is one already
	Unsupported bool
	Denied      bool

	Time  time.Time // the file's modification time
	Names []string
	Held  bool // somebody else has the lock; of Told: something was told
}

// failed makes a result of an error.
func failed(err error) Result {
	if err == nil {
		return Result{}
	}
	return Result{
		Err: err.Error(), Absent: errors.Is(err, fs.ErrNotExist), Exists: errors.Is(err, fs.ErrExist),
		Unsupported: errors.Is(err, errors.ErrUnsupported), Denied: errors.Is(err, fs.ErrPermission),
	}
}

// Local is the End of this process. It is safe for use by several goroutines.
type Local struct {
	dir string

	mu    sync.Mutex
	locks map[string]*os.File
	bell  watcher
}

// NewLocal returns the End of this process for a directory.
func NewLocal(dir string) *Local { return &Local{dir: dir, locks: map[string]*os.File{}} }

// Close gives up what is held.
func (l *Local) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, f := range l.locks {
		f.Close()
		delete(l.locks, name)
	}
	return l.bell.close()
}

// path is that of a file in the directory and nowhere else: names may come from
// another process.
func (l *Local) path(name string) (string, error) {
	if name != filepath.Base(name) || !strings.HasPrefix(name, Prefix) {
		return "", fs.ErrInvalid
	}
	return filepath.Join(l.dir, name), nil
}

// Prefix is what the names of all files begin with that are made here.
const Prefix = ".filelock-verify-"

// at returns the time that f finds a file to have.
func (l *Local) at(name string, f func(path string) (time.Time, error)) Result {
	path, err := l.path(name)
	if err != nil {
		return failed(err)
	}
	t, err := f(path)
	if err != nil {
		return failed(err)
	}
	return Result{Time: t}
}

func modTime(info os.FileInfo, err error) (time.Time, error) {
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func (l *Local) Create(name string) Result {
	return l.at(name, func(path string) (time.Time, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
		if err != nil {
			return time.Time{}, err
		}
		info, err := f.Stat()
		return modTime(info, errors.Join(err, f.Close()))
	})
}

func (l *Local) Stat(name string) Result {
	return l.at(name, func(path string) (time.Time, error) { return modTime(os.Lstat(path)) })
}

func (l *Local) Fresh(name string) Result {
	return l.at(name, func(path string) (time.Time, error) {
		f, err := os.Open(path)
		if err != nil {
			return time.Time{}, err
		}
		defer f.Close()
		return freshTime(f)
	})
}

func (l *Local) SetTime(name string, to time.Time) Result {
	path, err := l.path(name)
	if err != nil {
		return failed(err)
	}
	if err := os.Chtimes(path, to, to); err != nil {
		return failed(err)
	}
	return l.Fresh(name)
}

func (l *Local) Remove(name string) Result {
	path, err := l.path(name)
	if err != nil {
		return failed(err)
	}
	return failed(os.Remove(path))
}

func (l *Local) List() Result {
	dir, err := os.Open(l.dir)
	if err != nil {
		return failed(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return failed(err)
	}
	return Result{Names: names}
}

func (l *Local) Lock(name string, kind LockKind) Result {
	path, err := l.path(name)
	if err != nil {
		return failed(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return failed(err)
	}
	held, err := lock(f, kind)
	if held || err != nil {
		f.Close()
		r := failed(err)
		r.Held = held
		return r
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.locks[name]; old != nil {
		old.Close()
	}
	l.locks[name] = f
	return Result{}
}

func (l *Local) Unlock(name string) Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.locks[name]
	if f == nil {
		return failed(fs.ErrClosed)
	}
	delete(l.locks, name)
	return failed(f.Close())
}

func (l *Local) LockOf(name string) Result {
	path, err := l.path(name)
	if err != nil {
		return failed(err)
	}
	f, err := os.Open(path)
	if err != nil {
		return failed(err)
	}
	defer f.Close()
	held, err := lockOf(f)
	r := failed(err)
	r.Held = held
	return r
}

func (l *Local) Watch() Result { return failed(l.bell.watch(l.dir)) }

func (l *Local) Told(name string, within time.Duration) Result {
	told, err := l.bell.told(name, within)
	r := failed(err)
	r.Held = told
	return r
}
