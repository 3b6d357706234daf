//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// firstInherited is above the descriptors that a shell script can name.
const firstInherited = 10

// inheritable gives f another number, which commands started from now on inherit.
//
// It is one that is free here and so in the command, where exec.Cmd.ExtraFiles would
// take 3 also if the command inherits another file as that, as in "filelock run ...
// 3>log". Then whatever the command writes there would land in the ticket, and change
// its number in the queue.
func inheritable(f *os.File) (int, error) {
	fd, err := unix.FcntlInt(uintptr(fdOf(f)), unix.F_DUPFD, firstInherited)
	return fd, os.NewSyscallError("fcntl", err)
}

func closeInherited(fd int) { unix.Close(fd) }
