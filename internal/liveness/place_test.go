package liveness

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/ticket"
)

const (
	ext4    = 0xEF53
	overlay = 0x794C7630
	nfs     = 0x6969
)

var (
	disk       = Filesystem{Type: ext4, ID: 7, OneKernel: true}
	otherDisk  = Filesystem{Type: ext4, ID: 8, OneKernel: true}
	stack      = Filesystem{Type: overlay, ID: 7, OneKernel: true, Stacks: true}
	otherStack = Filesystem{Type: overlay, ID: 8, OneKernel: true, Stacks: true}
	shared     = Filesystem{Type: nfs, ID: 7}
)

func TestTells(t *testing.T) {
	tests := []struct {
		name  string
		here  Filesystem
		owner Place
		want  bool
	}{
		{"one disk", disk, disk.Place(), true},
		// Some types have another id at each mount; the kernel sees all locks.
		{"one disk, seen through two ids", disk, otherDisk.Place(), true},
		{"one stack", stack, stack.Place(), true},
		{"two stacks: a file may be two", stack, otherStack.Place(), false},
		{"a stack, and its owner saw what lies below", stack, disk.Place(), false},
		{"a disk, and its owner saw a stack over it", disk, stack.Place(), false},
		{"many kernels", shared, shared.Place(), false},
		{"a disk, and its owner is a client of this server", disk, shared.Place(), false},
		{"a share, and its owner is on the server", shared, disk.Place(), false},
		{"a stack, and its owner saw a share", stack, shared.Place(), false},
		{"the owner has no locks", disk, 0, false},
		{"the owner has no locks, on a stack", stack, 0, false},
		{"the owner has no locks, on a share", shared, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, tt.here.Tells(tt.owner)) })
	}
}

func TestPlace(t *testing.T) {
	tests := []struct {
		name              string
		is                Filesystem
		oneKernel, stacks bool
	}{
		{"disk", disk, true, false},
		{"stack", stack, true, true},
		{"share", shared, false, false},
		{"a stack of shares", Filesystem{Type: overlay, Stacks: true}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The bits are no part of the hash, whatever that is.
			for id := range uint64(1000) {
				f := tt.is
				f.ID = id
				p := f.Place()
				require.Equal(t, tt.oneKernel, p&oneKernelBit != 0)
				require.Equal(t, tt.stacks, p&stacksBit != 0)
				require.NotZero(t, p&^(oneKernelBit|stacksBit), "zero would be: no locks")
				require.Equal(t, p, f.Place(), "it stays the same")
			}
		})
	}
	hash := func(f Filesystem) Place { return f.Place() &^ (oneKernelBit | stacksBit) }
	require.NotEqual(t, hash(disk), hash(otherDisk))
	require.NotEqual(t, hash(disk), hash(stack), "another type with the same id")
}

// TestPlaceOfHashZero: a hash that is zero without the bits sets none of them, and is not
// taken for a place without locks. The id was searched for.
func TestPlaceOfHashZero(t *testing.T) {
	const id = 220979258
	require.Zero(t, ticket.HashOf("filesystem", "ef53", strconv.FormatUint(id, 16))&^(oneKernelBit|stacksBit), "search again")
	for _, oneKernel := range []bool{false, true} {
		for _, stacks := range []bool{false, true} {
			p := Filesystem{Type: ext4, ID: id, OneKernel: oneKernel, Stacks: stacks}.Place()
			require.Equal(t, oneKernel, p&oneKernelBit != 0)
			require.Equal(t, stacks, p&stacksBit != 0)
			require.NotZero(t, p&^(oneKernelBit|stacksBit))
		}
	}
}
