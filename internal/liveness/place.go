package liveness

import (
	"strconv"

	"github.com/filelock-go/filelock/internal/ticket"
)

// Place says in a ticket's name what its owner saw of the directory's
// filesystem: two bits that are no hash, and a hash of the filesystem's type and
// id, which for most types stays the same over mounts. Zero means that locks do
// not work there.
type Place = ticket.Hash

const (
	// oneKernelBit: one kernel alone mounts the filesystem.
	oneKernelBit Place = 1
	// stacksBit: it shows what lies in other filesystems.
	stacksBit Place = 2
)

// OneKernel reports whether the owner of a ticket made at that place saw a filesystem
// that one kernel alone mounts.
func OneKernel(owner Place) bool { return owner&oneKernelBit != 0 }

// Filesystem is what is known of a directory's filesystem.
type Filesystem struct {
	Type      int64
	ID        uint64 // f_fsid of statfs
	OneKernel bool
	Stacks    bool
}

// Place returns what tickets there say of it.
func (f Filesystem) Place() Place {
	p := ticket.HashOf("filesystem", strconv.FormatInt(f.Type, 16), strconv.FormatUint(f.ID, 16)) &^ (oneKernelBit | stacksBit)
	if p == 0 {
		p = 4
	}
	if f.OneKernel {
		p |= oneKernelBit
	}
	if f.Stacks {
		p |= stacksBit
	}
	return p
}

// Tells reports whether an onlooker here sees the locks of a ticket's owner, so
// that a free lock means something.
//
// On a filesystem that one kernel alone mounts, and that stacks on no other,
// every lock is seen by all who see the file; the owner must have seen such a
// filesystem too, since the server of a shared one sees a local disk. On a
// stacking one a file may be two, an upper and a lower one, so that it must be
// the same stack.
func (f Filesystem) Tells(owner Place) bool {
	switch {
	case !f.OneKernel || !OneKernel(owner):
		return false
	case f.Stacks || owner&stacksBit != 0:
		return owner == f.Place()
	default:
		return true
	}
}
