//go:build unix && !linux

package ticketdir

import "golang.org/x/sys/unix"

// These systems have no call that asks a server anew; an open does.

func freshFile(fd int) (stat, error) { return fstat(fd) }

func freshName(dir int, name string) (stat, error) {
	return fstatat(dir, name, unix.AT_SYMLINK_NOFOLLOW)
}
