package ticket

import (
	"crypto/rand"

	"golang.org/x/sys/unix"
)

// fillRandom asks the kernel itself. crypto/rand does the same in the end, but
// makes ready for it first, which is a fifth of a process's first acquisition.
func fillRandom(b []byte) {
	for {
		n, err := unix.Getrandom(b, 0)
		switch {
		case err == unix.EINTR:
		case err != nil || n < len(b): // no kernel gives fewer so short as this is
			rand.Read(b)
			return
		default:
			return
		}
	}
}
