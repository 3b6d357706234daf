package ticketdir

import (
	"bytes"
	"encoding/binary"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct linux_dirent64.
const (
	direntLen  = int(unsafe.Offsetof(unix.Dirent{}.Reclen))
	direntType = int(unsafe.Offsetof(unix.Dirent{}.Type))
	direntName = int(unsafe.Offsetof(unix.Dirent{}.Name))
)

// buffers are large, since big directories are read in as many calls as it
// takes to fill one.
var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// list calls f with the name of each file in the directory, in a listing begun
// after the call. f must not keep the bytes.
//
// The kernel's own records are read, and no string is made of a name that does
// not concern the queue: os.File.Readdirnames takes nearly twice as long in a
// directory of 100,000 files.
func (h *handle) list(f func(name []byte)) error {
	fd := h.fd
	switch {
	case h.oneKernel() && h.listing.TryLock():
		defer h.listing.Unlock()
		err := again(func() error {
			_, err := unix.Seek(fd, 0, unix.SEEK_SET)
			return err
		})
		if err != nil {
			return err
		}
	default:
		// Another listing is under way on the shared descriptor, or an
		// open directory may answer from what it read before.
		var err error
		if fd, err = openDir(h.fd, "."); err != nil {
			return err
		}
		defer unix.Close(fd)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := unix.Getdents(fd, *buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return err
		}
		for rest := (*buf)[:n]; len(rest) > 0; {
			size := binary.NativeEndian.Uint16(rest[direntLen:])
			record := rest[:size]
			rest = rest[size:]
			if kind := record[direntType]; kind == unix.DT_REG || kind == unix.DT_UNKNOWN {
				name := record[direntName:]
				f(name[:bytes.IndexByte(name, 0)])
			}
		}
	}
}
