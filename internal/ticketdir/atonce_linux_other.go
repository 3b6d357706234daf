//go:build linux && !amd64 && !arm64

package ticketdir

import "golang.org/x/sys/unix"

func fstatAtOnce(fd int) (stat, error) { return fstat(fd) }

func fcntlAtOnce(fd, cmd int, lock *unix.Flock_t) error {
	return unix.FcntlFlock(uintptr(fd), cmd, lock)
}
