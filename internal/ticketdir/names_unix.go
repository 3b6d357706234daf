//go:build unix && !linux

package ticketdir

import (
	"os"

	"golang.org/x/sys/unix"
)

// names lists the queue's entries of the directory, begun after the call.
func (h *handle) names(q *Queue, own string, to *[]entry) error {
	*to = (*to)[:0]
	fd, err := openDir(h.fd, ".")
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), h.path)
	if dir == nil {
		return unix.EBADF
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if e, ok := q.classify([]byte(name), own); ok {
			*to = append(*to, e)
		}
	}
	return nil
}
