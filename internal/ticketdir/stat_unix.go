//go:build unix

package ticketdir

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// stat is what matters here of a file's attributes.
type stat struct {
	id                          fileID
	mode, uid                   uint32
	nlink                       uint64
	modified, accessed, changed queue.Number
}

// fileID tells files apart that exist at the same time.
type fileID struct{ dev, ino uint64 }

func statOf(st *unix.Stat_t) stat {
	return stat{
		id:   fileID{uint64(st.Dev), uint64(st.Ino)},
		mode: uint32(st.Mode), uid: st.Uid, nlink: uint64(st.Nlink),
		modified: numberOf(st.Mtim), accessed: numberOf(st.Atim), changed: numberOf(st.Ctim),
	}
}

func (st *stat) regular() bool { return st.mode&unix.S_IFMT == unix.S_IFREG }

// permissions returns the bits that chmod sets.
func (st *stat) permissions() uint32 { return st.mode & 0o7777 }

func (st *stat) beat() Beat { return Beat{Accessed: st.accessed, Changed: st.changed} }

func numberOf(ts unix.Timespec) queue.Number {
	return queue.Number{Sec: int64(ts.Sec), Nsec: int32(ts.Nsec)}
}

func numberAt(t time.Time) queue.Number {
	return queue.Number{Sec: t.Unix(), Nsec: int32(t.Nanosecond())}
}

// again calls f again when a signal interrupted it: some filesystems, FUSE and
// SMB among them, say so at any call.
func again(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// fstatNative and fstatatNative have the times that the C library's struct stat
// has room for.
func fstatNative(fd int) (stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstat(fd, &st) })
	return statOf(&st), err
}

func fstatatNative(dir int, name string, flags int) (stat, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstatat(dir, name, &st, flags) })
	return statOf(&st), err
}

func chtimesNative(dir int, name string, accessed, modified queue.Number) error {
	at, err := unix.TimeToTimespec(accessed.Time())
	if err != nil {
		return err
	}
	mt, err := unix.TimeToTimespec(modified.Time())
	if err != nil {
		return err
	}
	times := [2]unix.Timespec{at, mt}
	return again(func() error { return unix.UtimesNanoAt(dir, name, times[:], unix.AT_SYMLINK_NOFOLLOW) })
}
