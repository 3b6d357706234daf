//go:build unix && !aix

package ticketdir

import "golang.org/x/sys/unix"

// duplicate returns another descriptor of the same open file.
func duplicate(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }
