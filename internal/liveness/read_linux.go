package liveness

import (
	"io/fs"
	"syscall"
)

// readSmall reads a file of /proc that fits a page. os.ReadFile would start the
// runtime's poller first, which is a sixth of a process's first acquisition.
func readSmall(path string) ([]byte, error) {
	var fd, n int
	err := uninterrupted(func() (err error) {
		fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = syscall.Close(fd) }()
	buf := make([]byte, 4096)
	err = uninterrupted(func() (err error) {
		n, err = syscall.Read(fd, buf)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return buf[:n], nil
}

// uninterrupted calls f again when a signal interrupted it.
func uninterrupted(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}
