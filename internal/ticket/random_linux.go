package ticket

import (
	"crypto/rand"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fillRandom asks the kernel itself. crypto/rand does the same in the end, but
// makes ready for it first, which is a fifth of a process's first acquisition; and
// unix.Getrandom maps memory for later calls, which takes as long as dozens of these.
func fillRandom(b []byte) {
	for {
		n, _, err := unix.Syscall(unix.SYS_GETRANDOM, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0)
		switch {
		case err == unix.EINTR:
		case err != 0 || int(n) < len(b): // no kernel gives fewer so short as this is
			rand.Read(b)
			return
		default:
			return
		}
	}
}
