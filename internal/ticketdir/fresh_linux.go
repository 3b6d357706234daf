package ticketdir

import (
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
)

// fresh reads the times of an open ticket as they are now: a lease is judged by
// them. Where attributes are cached, fstat may answer what was true some time
// ago, so the filesystem is made to ask.
func (h *handle) fresh(fd int) (number queue.Number, beat Beat, err error) {
	if !h.oneKernel {
		var st unix.Statx_t
		if unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st) == nil {
			if st.Mode&unix.S_IFMT != unix.S_IFREG {
				return number, beat, errNotRegular
			}
			beat = Beat{Accessed: numberOfX(st.Atime), Changed: numberOfX(st.Ctime)}
			return numberOfX(st.Mtime), beat, nil
		}
	}
	return fstat(fd)
}

func numberOfX(ts unix.StatxTimestamp) queue.Number {
	return queue.Number{Sec: ts.Sec, Nsec: int32(ts.Nsec)}
}
