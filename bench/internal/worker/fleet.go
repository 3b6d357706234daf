package worker

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Fleet is some workers that share a page, and form a ring of pipes in which
// each reads what the one before it writes.
type Fleet struct {
	*Page
	Workers []*Worker

	pageFile *os.File
}

// Start starts n workers. The caller owes a Close.
func Start(n int) (_ *Fleet, err error) {
	fd, err := newPage()
	if err != nil {
		return nil, err
	}
	f := &Fleet{pageFile: os.NewFile(uintptr(fd), "page")}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.Page, err = mapPage(fd); err != nil {
		return nil, err
	}
	f.Reset()
	ins, outs, err := ring(n)
	if err != nil {
		return nil, err
	}
	for i := range n {
		w, startErr := startWorker(f.pageFile, ins[i], outs[i])
		if startErr != nil {
			err = startErr
			break
		}
		f.Workers = append(f.Workers, w)
	}
	for i := range n {
		ins[i].Close()
		outs[i].Close()
	}
	return f, err
}

// ring makes n pipes. Worker i reads from ins[i] and writes to outs[i], which
// is the other end of ins[i+1].
func ring(n int) (ins, outs []*os.File, err error) {
	ins, outs = make([]*os.File, n), make([]*os.File, n)
	for i := range n {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return nil, nil, err
		}
		ins[(i+1)%n] = os.NewFile(uintptr(fds[0]), "ring")
		outs[i] = os.NewFile(uintptr(fds[1]), "ring")
	}
	return ins, outs, nil
}

// Restart replaces a worker that was killed. The new one has no ring.
func (f *Fleet) Restart(i int) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	w, err := startWorker(f.pageFile, null, null)
	if err != nil {
		return err
	}
	f.Workers[i] = w
	return nil
}

// Close ends all workers.
func (f *Fleet) Close() error {
	var errs []error
	for i, w := range f.Workers {
		if err := w.end(); err != nil {
			errs = append(errs, fmt.Errorf("worker %d: %w", i, err))
		}
	}
	if f.Page != nil {
		errs = append(errs, unmapPage(f.Page))
	}
	return errors.Join(append(errs, f.pageFile.Close())...)
}
