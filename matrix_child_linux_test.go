package filelock_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() { locktest.Register("matrix", matrixChild) }

// report is what a contender saw. Each of them is "" for no error, or the name of
// the error.
type report struct{ New, Acquire, Unlock string }

// matrixChild is the contender. Everything happens in one thread, so that the
// numbers of its calls mean something.
func matrixChild(args []string) error {
	runtime.LockOSThread()
	unix.Prctl(unix.PR_SET_PTRACER, unix.PR_SET_PTRACER_ANY, 0, 0, 0) // or strace may not attach
	path := args[0]
	i := slices.IndexFunc(situations, func(s situation) bool { return s.name == args[1] })
	s := &situations[i]
	guard, err := locktest.OpenGuard(filepath.Join(filepath.Dir(path), "guard"))
	if err != nil {
		return err
	}
	locktest.Say("%d", unix.Gettid())
	locktest.Gate()
	var r report
	mark("New")
	l, err := filelock.New(path, s.opts...)
	if r.New = nameOf(err); err == nil {
		mark("Acquire")
		if s.try {
			err = l.TryLock()
		} else {
			err = l.Acquire(context.Background())
		}
		if r.Acquire = nameOf(err); err == nil {
			guard.Word(wordCameIn).Store(time.Now().UnixNano())
			guard.Enter()
			time.Sleep(2 * time.Millisecond)
			guard.Leave()
			mark("Unlock")
			r.Unlock = nameOf(l.Unlock())
		}
	}
	mark("end")
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	locktest.Say("%s", text)
	locktest.Gate()
	// Once more, in a thread in which nothing fails.
	return <-start(func() error { return onceMore(l, guard, path, s.opts) })
}

func onceMore(l *filelock.FileLock, guard *locktest.Guard, path string, opts []filelock.Option) (err error) {
	if l == nil {
		if l, err = filelock.New(path, opts...); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stuck/3)
	defer cancel()
	if err := l.Acquire(ctx); err != nil {
		return err
	}
	guard.Enter()
	locktest.Say("inside")
	locktest.Gate()
	guard.Leave()
	return l.Unlock()
}

// mark shows in the trace where the contender is.
func mark(where string) { unix.Access("/mark/"+where, unix.F_OK) }

// nameOf says in a word what an error is.
func nameOf(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.Is(err, filelock.ErrLocked) && errors.As(err, &errno):
		return "ErrLocked and " + unix.ErrnoName(errno)
	case errors.Is(err, filelock.ErrLocked):
		return "ErrLocked"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	case errors.Is(err, fs.ErrNotExist):
		return "ENOENT"
	case errors.Is(err, filelock.ErrLost):
		return "ErrLost"
	default:
		return err.Error()
	}
}
