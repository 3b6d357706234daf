package rival

import (
	"context"

	"golang.org/x/sys/unix"
)

// FlockFloor is flock and its release on a file that stays open: a lock, but
// one without any order.
var FlockFloor = Rival{
	Key: "floor-flock", Name: "floor: bare flock", Floor: true,
	Open: func(path string) (Lock, error) {
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o644)
		return flockFloor(fd), err
	},
}

type flockFloor int

func (f flockFloor) Lock(context.Context) error {
	for {
		if err := unix.Flock(int(f), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

func (f flockFloor) Unlock() error { return unix.Flock(int(f), unix.LOCK_UN) }
func (f flockFloor) Close() error  { return unix.Close(int(f)) }
