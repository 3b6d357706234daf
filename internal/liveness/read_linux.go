package liveness

import (
	"bytes"
	"io/fs"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// readSmall reads the beginning of a file of /proc into buf. os.ReadFile would start
// the runtime's poller first, which is a sixth of a process's first acquisition; and
// memory that was never used before takes a page fault, which is longer than the call.
func readSmall(path string, buf []byte) ([]byte, error) {
	var fd, n int
	err := uninterrupted(func() (err error) {
		fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	err = uninterrupted(func() (err error) {
		n, err = syscall.Read(fd, buf)
		return err
	})
	_ = syscall.Close(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return buf[:n], nil
}

// readNamespace reads the number of one of this process's namespaces, a link's text
// such as "pid:[4026531836]". To stat what it leads to tells the same, and takes twice
// as long, since it has the kernel make an inode. 0: it is not understood.
func readNamespace(kind string) (uint64, error) {
	path := "/proc/self/ns/" + kind
	var buf [64]byte
	var n int
	err := uninterrupted(func() (err error) {
		n, err = unix.Readlink(path, buf[:])
		return err
	})
	if err != nil {
		return 0, &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	text, ok := bytes.CutPrefix(buf[:n], []byte(kind+":["))
	text, closed := bytes.CutSuffix(text, []byte("]"))
	inode, err := strconv.ParseUint(string(text), 10, 64)
	if !ok || !closed || err != nil {
		return 0, nil
	}
	return inode, nil
}

// uninterrupted calls f again when a signal interrupted it.
func uninterrupted(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}
