//go:build !mips && !mipsle && !mips64 && !mips64le

package cli

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sigaction is the kernel's. Its first word is the handler on all
// architectures but MIPS; what else it has differs, and is kept as it is.
type sigaction [8]uintptr

const (
	sigDefault = 0
	sigIgnore  = 1
)

func (a *sigaction) handler() uintptr { return a[0] }

// setAction does what sigaction(2) does, behind the back of the Go runtime, and
// returns what was set before.
func setAction(sig syscall.Signal, action *sigaction) (old sigaction, err error) {
	const size = 8 // of the kernel's signal set
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(&old)), size, 0, 0)
	if errno != 0 {
		return old, errno
	}
	return old, nil
}
