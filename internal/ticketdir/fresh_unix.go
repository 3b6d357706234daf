//go:build unix && !linux

package ticketdir

import "golang.org/x/sys/unix"

// These systems have no call that asks a server anew; an open does. Nor is there any that
// is known not to.

func fstatAtOnce(fd int) (stat, error) { return fstat(fd) }

func freshFile(fd int) (stat, error) { return fstat(fd) }

func freshName(dir int, name string) (stat, error) {
	return fstatat(dir, name, unix.AT_SYMLINK_NOFOLLOW)
}
