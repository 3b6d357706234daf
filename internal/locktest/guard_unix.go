//go:build unix

package locktest

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Guard is an independent witness of overlaps: a word of memory that several
// processes share, and counts.
type Guard struct{ words *[64]atomic.Int64 }

const (
	inside = iota
	holds
	overlaps
	order
	free // from here on, Word's
)

// OpenGuard maps the guard in a file, which it creates if need be. All
// processes that open the same file share the guard.
func OpenGuard(path string) (*Guard, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return &Guard{words: (*[64]atomic.Int64)(unsafe.Pointer(&mem[0]))}, nil
}

// Enter notes that a holder is inside, and an overlap if another one is.
func (g *Guard) Enter() {
	g.words[holds].Add(1)
	if g.words[inside].Add(1) != 1 {
		g.words[overlaps].Add(1)
	}
}

// Leave notes that the holder left.
func (g *Guard) Leave() { g.words[inside].Add(-1) }

// Next returns 1, 2, 3 … over all processes.
func (g *Guard) Next() int64 { return g.words[order].Add(1) }

// Holds returns how many holders there were.
func (g *Guard) Holds() int64 { return g.words[holds].Load() }

// Overlaps returns how many entered while another was inside.
func (g *Guard) Overlaps() int64 { return g.words[overlaps].Load() }

// Word returns the i-th word that is free for a test's own use.
func (g *Guard) Word(i int) *atomic.Int64 { return &g.words[free+i] }
