package worker

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Page is memory that all processes of a fleet see. It witnesses what the lock
// should prevent, for the price of a few atomic operations.
type Page struct {
	inside   atomic.Int32
	last     atomic.Int64
	Overlaps atomic.Int64 // entries while somebody was inside
	Handoffs atomic.Int64 // entries by another than the last one
	Held     atomic.Int64 // holders that have entered
	Done     atomic.Int64 // passages that are over
}

const pageSize = 4096

// newPage returns the descriptor of a new page.
func newPage() (fd int, err error) {
	if fd, err = unix.MemfdCreate("bench", unix.MFD_CLOEXEC); err != nil {
		return -1, err
	}
	return fd, unix.Ftruncate(fd, pageSize)
}

func mapPage(fd int) (*Page, error) {
	mem, err := unix.Mmap(fd, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*Page)(unsafe.Pointer(unsafe.SliceData(mem))), nil
}

// Reset forgets everything.
func (p *Page) Reset() {
	p.inside.Store(0)
	p.last.Store(-1)
	p.Overlaps.Store(0)
	p.Handoffs.Store(0)
	p.Held.Store(0)
	p.Done.Store(0)
}

// Enter is called with the lock held.
func (p *Page) Enter(id int) {
	if p.inside.Add(1) != 1 {
		p.Overlaps.Add(1)
	}
	if p.last.Load() != int64(id) {
		p.last.Store(int64(id))
		p.Handoffs.Add(1)
	}
}

// Leave is called before the lock is given back.
func (p *Page) Leave() { p.inside.Add(-1) }

func unmapPage(p *Page) error {
	return unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(p)), pageSize))
}
