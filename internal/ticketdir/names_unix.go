//go:build unix && !linux

package ticketdir

import (
	"os"

	"golang.org/x/sys/unix"
)

// list calls f with the name of each entry of the directory, in a listing
// begun after the call. f must not keep the bytes.
func (h *handle) list(f func(name []byte)) error {
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
	for _, name := range names {
		f([]byte(name))
	}
	return err
}
