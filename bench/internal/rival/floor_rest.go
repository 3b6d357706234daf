package rival

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// RestFloor is the five system calls that a passage cannot do without that comes back to
// a ticket at rest. Ours makes one more, at Unlock: it tells a ticket that was lost.
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
	if err := f.lock(unix.F_WRLCK, entryByte, 1); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	return unix.Fstat(f.dir, &st)
}

func (f restFloor) Unlock() error {
	if err := f.out(); err != nil {
		return err
	}
	var st unix.Stat_t
	return unix.Fstat(f.dir, &st)
}

func (f restFloor) Close() error { return errors.Join(f.remove(), f.fileFloor.Close()) }
