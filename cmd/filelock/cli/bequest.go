package cli

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/filelock-go/filelock"
)

// bequest prepares what the command gets of the locks: their tickets, open, under
// numbers that it inherits until drop is called, unless it is not to be an heir. It
// returns the tickets' paths; there are none where there are no witnesses.
func (r *run) bequest() (tickets []string, drop func(), err error) {
	var fds []int
	drop = sync.OnceFunc(func() {
		for _, fd := range fds {
			closeInherited(fd)
		}
	})
	for _, l := range r.held.locks {
		w, err := r.witness(l)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			drop()
			return nil, nil, err
		}
		tickets = append(tickets, w.Name())
		if r.flags.leavesToHeirs() || r.flags.exec {
			fd, dupErr := inheritable(w)
			if err = dupErr; err == nil {
				fds = append(fds, fd)
			}
		}
		w.Close()
		if err != nil {
			drop()
			return nil, nil, err
		}
	}
	return tickets, drop, nil
}

// witness returns a lock's witness, unless a signal comes first: to take it may
// need a server's answer.
func (r *run) witness(l *filelock.FileLock) (*os.File, error) {
	ctx, stop := r.signals.context()
	f, err := answered(ctx, l.Path(), l.Witness)
	stop()
	if cause := context.Cause(ctx); cause != nil { // also one that came beside the answer
		if f != nil {
			f.Close()
		}
		return nil, cause
	}
	return f, err
}
