//go:build unix && !(linux && (386 || arm || mips || mipsle))

package ticketdir

import "github.com/filelock-go/filelock/internal/queue"

func fstat(fd int) (stat, error) { return fstatNative(fd) }

func fstatat(dir int, name string, flags int) (stat, error) { return fstatatNative(dir, name, flags) }

// chtimes sets both times, of the file itself.
func chtimes(dir int, name string, accessed, modified queue.Number) error {
	return chtimesNative(dir, name, accessed, modified)
}
