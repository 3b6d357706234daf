package ticketdir

import (
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// freshFile and freshName have the filesystem ask its server, where attributes
// are cached and a plain stat may answer what was true some time ago. Where
// there is no such call, opening the file does as well on most of them.

func freshFile(fd int) (stat, error) {
	st, err := statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC)
	if unknownCall(err) {
		return fstat(fd)
	}
	return st, err
}

func freshName(dir int, name string) (stat, error) {
	st, err := statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_FORCE_SYNC)
	if !unknownCall(err) {
		return st, err
	}
	if fd, err := openat(dir, name, toRead, 0); err == nil {
		unix.Close(fd)
	}
	return fstatat(dir, name, unix.AT_SYMLINK_NOFOLLOW)
}

// unknownCall: a kernel before 4.11, or a sandbox that does not know statx.
func unknownCall(err error) bool { return err == unix.ENOSYS || err == unix.EPERM }

func statx(dir int, name string, flags int) (stat, error) {
	var st unix.Statx_t
	err := again(func() error { return unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS, &st) })
	return stat{
		id:   fileID{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino},
		mode: uint32(st.Mode), uid: st.Uid, nlink: uint64(st.Nlink),
		modified: numberOfX(st.Mtime), accessed: numberOfX(st.Atime), changed: numberOfX(st.Ctime),
	}, err
}

func numberOfX(ts unix.StatxTimestamp) queue.Number {
	return queue.Number{Sec: ts.Sec, Nsec: int32(ts.Nsec)}
}
