package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/filelock-go/filelock"
)

// Flock has the methods of gofrs/flock's type of that name, over this lock: for a
// program that calls them in many places, and is to change them one by one. It is a
// recipe, not a part of the package: copy it, and leave out what you do not call.
//
// As there, locking again what this Flock has already locked is nothing, and Unlock
// of what is not locked is nothing. Unlike there, each of two goroutines that call
// Lock must have a Flock of its own to be kept apart by it, a try that waits is
// served in its turn rather than when it happens to look, and to lock exclusively
// while this Flock has locked shared is an error, not an upgrade that may deadlock.
type Flock struct {
	path string
	flag int
	perm fs.FileMode

	mu   sync.Mutex // held while it waits, as in gofrs/flock
	lock *filelock.FileLock

	state  sync.RWMutex // for what Locked and RLocked tell
	locked bool
	shared bool
}

// FlockOption is an option of NewFlock.
type FlockOption func(*Flock)

// SetFlag sets the flag with which the file is opened.
func SetFlag(flag int) FlockOption { return func(f *Flock) { f.flag = flag } }

// SetPermissions sets the permissions with which the file is made.
func SetPermissions(perm fs.FileMode) FlockOption { return func(f *Flock) { f.perm = perm } }

// NewFlock returns a Flock for a file. Nothing is opened yet.
func NewFlock(path string, opts ...FlockOption) *Flock {
	f := &Flock{path: path, flag: os.O_CREATE | os.O_RDONLY, perm: 0o600}
	for _, o := range opts {
		o(f)
	}
	return f
}

func (f *Flock) Path() string   { return f.path }
func (f *Flock) String() string { return f.path }
func (f *Flock) Close() error   { return f.Unlock() }

func (f *Flock) Locked() bool {
	f.state.RLock()
	defer f.state.RUnlock()
	return f.locked
}

func (f *Flock) RLocked() bool {
	f.state.RLock()
	defer f.state.RUnlock()
	return f.shared
}

func (f *Flock) Stat() (fs.FileInfo, error) { return os.Stat(f.path) }

func (f *Flock) Lock() error {
	_, err := f.take(false, func(l *filelock.FileLock) error { return l.Acquire(context.Background()) })
	return err
}

func (f *Flock) RLock() error {
	_, err := f.take(true, func(l *filelock.FileLock) error { return l.AcquireShared(context.Background()) })
	return err
}

func (f *Flock) TryLock() (bool, error)  { return f.take(false, (*filelock.FileLock).TryLock) }
func (f *Flock) TryRLock() (bool, error) { return f.take(true, (*filelock.FileLock).TryLockShared) }

// TryLockContext waits in the queue until ctx is done. There is no delay between two
// tries, since nothing is tried again.
func (f *Flock) TryLockContext(ctx context.Context, _ time.Duration) (bool, error) {
	return f.take(false, func(l *filelock.FileLock) error { return l.Acquire(ctx) })
}

func (f *Flock) TryRLockContext(ctx context.Context, _ time.Duration) (bool, error) {
	return f.take(true, func(l *filelock.FileLock) error { return l.AcquireShared(ctx) })
}

// Unlock gives back what is locked, if anything is.
func (f *Flock) Unlock() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.Locked() && !f.RLocked() {
		return nil
	}
	err := f.lock.Unlock()
	f.set(false, false) // whatever it returns, nothing is held any more
	return err
}

// take locks, unless it is locked like that already.
func (f *Flock) take(shared bool, acquire func(*filelock.FileLock) error) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case shared && f.RLocked() || !shared && f.Locked():
		return true, nil
	case f.RLocked() || f.Locked():
		return false, errors.New("flock: locked in the other way; unlock it first")
	}
	if err := f.open(); err != nil {
		return false, err
	}
	switch err := acquire(f.lock); {
	case errors.Is(err, filelock.ErrLocked):
		return false, nil
	case err != nil:
		return false, err
	}
	f.set(!shared, shared)
	return true, nil
}

// open makes the file as gofrs/flock does, for programs that look for it, and the
// lock. A directory's lock is that of a name in it.
func (f *Flock) open() error {
	file, err := os.OpenFile(f.path, f.flag, f.perm)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil || f.lock != nil {
		return err
	}
	target := f.path
	if info.IsDir() {
		target = filepath.Join(f.path, ".lock")
	}
	f.lock, err = filelock.New(target)
	return err
}

func (f *Flock) set(locked, shared bool) {
	f.state.Lock()
	defer f.state.Unlock()
	f.locked, f.shared = locked, shared
}

// Example_gofrsFlock: code written for gofrs/flock goes on as it is.
func Example_gofrsFlock() {
	dir, err := os.MkdirTemp("", "filelock-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "db.lock")
	writer, reader := NewFlock(path), NewFlock(path)

	locked, err := writer.TryLock()
	fmt.Println("writer:", locked, err)
	locked, err = reader.TryRLock()
	fmt.Println("reader:", locked, err)
	fmt.Println("unlock:", writer.Unlock())

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	locked, err = reader.TryRLockContext(ctx, 0)
	fmt.Println("reader:", locked, err)
	fmt.Println("unlock:", reader.Unlock())
	// Output:
	// writer: true <nil>
	// reader: false <nil>
	// unlock: <nil>
	// reader: true <nil>
	// unlock: <nil>
}
