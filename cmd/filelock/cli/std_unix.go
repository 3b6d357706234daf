//go:build unix

package cli

import (
	"io"
	"os"
	"sync"
)

// std are the standard streams as the command gets them. Those of ours that are no
// files, as a caller of Main may have them, are copied to and from pipes.
type std struct {
	fds    []uintptr
	theirs []*os.File // the ends of pipes that the command gets
	copied sync.WaitGroup
}

func openStd(s streams) (*std, error) {
	var c std
	in, err := c.input(s.in)
	if err != nil {
		return nil, err
	}
	c.fds = append(c.fds, in)
	for _, w := range []io.Writer{s.out, s.err} {
		out, err := c.output(w)
		if err != nil {
			c.started()
			return nil, err
		}
		c.fds = append(c.fds, out)
	}
	return &c, nil
}

func (c *std) input(r io.Reader) (uintptr, error) {
	if f, ok := r.(*os.File); ok {
		return uintptr(fdOf(f)), nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	c.theirs = append(c.theirs, theirs)
	go func() { // until it is at its end, or nobody reads any more
		_, _ = io.Copy(ours, r)
		ours.Close()
	}()
	return uintptr(fdOf(theirs)), nil
}

func (c *std) output(w io.Writer) (uintptr, error) {
	if f, ok := w.(*os.File); ok {
		return uintptr(fdOf(f)), nil
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	c.theirs = append(c.theirs, theirs)
	c.copied.Go(func() {
		_, _ = io.Copy(w, ours)
		ours.Close()
	})
	return uintptr(fdOf(theirs)), nil
}

// started closes what the command has now, or was to have.
func (c *std) started() {
	for _, f := range c.theirs {
		f.Close()
	}
}
