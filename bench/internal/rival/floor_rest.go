package rival

import (
	"context"
	"io"

	"golang.org/x/sys/unix"
)

// RestFloor is the system calls of a passage of ours that comes back to a ticket
// that rests, and nothing else.
var RestFloor = Rival{
	Key: "floor-rest", Name: "floor: the calls of a later passage", Floor: true, Shared: true,
	Open: func(path string) (Lock, error) {
		f, err := openFileFloor(path)
		if err == nil {
			err = f.create()
		}
		return restFloor{f}, err
	},
}

type restFloor struct{ *fileFloor }

func (f restFloor) Lock(context.Context) error {
	if err := f.entry(unix.F_WRLCK); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(f.dir, f.path[f.base:], &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.Fstat(f.dir, &st)
}

func (f restFloor) Unlock() error {
	if err := f.entry(unix.F_UNLCK); err != nil {
		return err
	}
	var st unix.Stat_t
	return unix.Fstat(f.dir, &st)
}

func (f restFloor) entry(lock int16) error {
	return unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: lock, Whence: io.SeekStart, Len: 1})
}

func (f restFloor) Close() error {
	if err := f.fileFloor.Unlock(); err != nil {
		return err
	}
	return f.fileFloor.Close()
}
