//go:build linux && (386 || arm || mips || mipsle)

package ticketdir

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// The times of these systems' struct stat end in 2038. A number beyond would be
// another one to a 32-bit process than to a 64-bit one, and each could see
// itself behind the other. Kernels that have no wider calls have to do.

func fstat(fd int) (stat, error) {
	st, err := statx(fd, "", unix.AT_EMPTY_PATH)
	if unknownCall(err) {
		return fstatNative(fd)
	}
	return st, err
}

func fstatat(dir int, name string, flags int) (stat, error) {
	st, err := statx(dir, name, flags)
	if unknownCall(err) {
		return fstatatNative(dir, name, flags)
	}
	return st, err
}

// chtimes sets both times, of the file itself.
func chtimes(dir int, name string, accessed, modified queue.Number) error {
	path, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	times := [2]struct{ sec, nsec int64 }{
		{accessed.Sec, int64(accessed.Nsec)}, {modified.Sec, int64(modified.Nsec)},
	}
	err = again(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT_TIME64, uintptr(dir), uintptr(unsafe.Pointer(path)),
			uintptr(unsafe.Pointer(&times)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	if unknownCall(err) {
		return chtimesNative(dir, name, accessed, modified)
	}
	return err
}
