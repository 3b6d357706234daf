//go:build unix

package locktest

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// History is what several processes did, in one order: a log in memory that they
// share. What a process has noted outlives it.
type History struct {
	used    *atomic.Int64
	stopped *atomic.Int64
	slots   []atomic.Int64
}

// MostEvents is how many a history takes.
const MostEvents = 4 << 20

// OpenHistory maps the history in a file, which it creates if need be.
func OpenHistory(path string) (*History, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const size = 8 * (2 + MostEvents)
	if err := f.Truncate(size); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	words := unsafe.Slice((*atomic.Int64)(unsafe.Pointer(&mem[0])), 2+MostEvents)
	return &History{&words[0], &words[1], words[2:]}, nil
}

// Note adds an event. Its place in the order is that of one moment within the call.
func (h *History) Note(e Event) {
	if i := h.used.Add(1) - 1; i < MostEvents {
		word := int64(e.Who)<<4 | int64(e.Step)<<1
		if e.Shared {
			word |= 1
		}
		h.slots[i].Store(word)
	}
}

// Stop ends it, and tells all.
func (h *History) Stop() { h.stopped.Store(1) }

// Over reports whether it was ended, or is full but for what the others may add.
func (h *History) Over() bool { return h.stopped.Load() != 0 || h.used.Load() > MostEvents*9/10 }

// Events returns them in their order. Those of whom was killed while it noted one are
// missing.
func (h *History) Events() (events []Event) {
	for i := range min(h.used.Load(), MostEvents) {
		if word := h.slots[i].Load(); word != 0 {
			events = append(events, Event{Step: Step(word >> 1 & 7), Shared: word&1 != 0, Who: int(word >> 4)})
		}
	}
	return events
}
