package rival

import (
	"context"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// GetdentsFloor lists the path's directory and does nothing else.
var GetdentsFloor = Rival{
	Key: "floor-getdents", Name: "floor: getdents alone", Floor: true,
	Open: func(path string) (Lock, error) {
		dir, err := unix.Open(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		return &getdentsFloor{dir, make([]byte, 64<<10)}, nil
	},
}

type getdentsFloor struct {
	dir int
	buf []byte
}

func (g *getdentsFloor) Lock(context.Context) error { return listAll(g.dir, g.buf) }
func (g *getdentsFloor) Unlock() error              { return nil }
func (g *getdentsFloor) Close() error               { return unix.Close(g.dir) }
