//go:build !mips && !mipsle && !mips64 && !mips64le

package cli

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inherited returns the dispositions of this process's start. It has to be
// called before anything else of this process ignores a signal.
var inherited = sync.OnceValue(func() dispositions {
	var d dispositions
	if set := new(unix.Sigset_t); unix.PthreadSigmask(unix.SIG_SETMASK, nil, set) == nil {
		d.blocked = *(*sigset)(unsafe.Pointer(set)) // the first 64 bits are the signals 1 to 64
	}
	// Of these the Go runtime leaves alone what it finds ignored.
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT} {
		if action, err := setAction(sig, nil); err == nil && action.handler() == sigIgnore {
			d.ignored.add(sig)
		}
	}
	// For all others it has put handlers of its own in place by now, so that the
	// kernel does not know any more, nor does /proc/self/status. What it found, it
	// keeps in an array that nothing tells: see foundByRuntime. Should that fail,
	// the others count as not ignored.
	if found, err := foundByRuntime(); err == nil {
		for i, handler := range found {
			if handler == sigIgnore {
				d.ignored.add(syscall.Signal(i + 1))
			}
		}
	}
	return d
})

// markedSignal marks the runtime's array: the last one, which nobody uses.
const markedSignal = syscall.Signal(64)

// foundByRuntime returns the handlers that the Go runtime found when it began, of
// the signals from 1 on, below markedSignal.
//
// It has them in an array by signal number (runtime.fwdSig) among its
// uninitialized variables without pointers. The array is found by a mark: when a
// signal that was ignored through package os/signal is asked for again, the runtime
// notes what handler is in its place; that is one that we have put there, of a value
// that occurs once. Whatever does not look as expected is an error.
func foundByRuntime() (handlers []uint64, err error) {
	const word = unsafe.Sizeof(uintptr(0))
	mark := uintptr(0x5f4b_4c46) << (word*8 - 32) // no code is up there
	signal.Ignore(markedSignal)
	if _, err := setAction(markedSignal, &sigaction{mark}); err != nil {
		return nil, err
	}
	// Now that handler is in place for a moment. Nobody sends that signal.
	c := make(chan os.Signal, 1)
	signal.Notify(c, markedSignal)
	signal.Stop(c)

	vars, err := openVariables(".noptrbss")
	if err != nil {
		return nil, err
	}
	defer vars.close()
	marked := make([]byte, word)
	putWord(marked, mark)
	end, err := vars.find(marked)
	if err != nil {
		return nil, err
	}
	array := make([]byte, uintptr(markedSignal-1)*word) // from signal 1 to that before the mark
	if _, err := vars.ReadAt(array, end-int64(len(array))); err != nil {
		return nil, err
	}
	for ; len(array) > 0; array = array[word:] {
		handler := getWord(array)
		if handler != sigDefault && handler != sigIgnore {
			return nil, errors.New("that is no array of handlers")
		}
		handlers = append(handlers, handler)
	}
	return handlers, nil
}

// variables is a section of this process's memory.
type variables struct {
	*io.SectionReader
	mem *os.File
}

func openVariables(section string) (*variables, error) {
	exe, err := elf.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	s := exe.Section(section)
	if s == nil {
		return nil, errors.New("the program has no section " + section)
	}
	entry, err := entryPoint()
	if err != nil {
		return nil, err
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return nil, err
	}
	// The program may be loaded elsewhere than its file says.
	return &variables{io.NewSectionReader(mem, int64(s.Addr+entry-exe.Entry), int64(s.Size)), mem}, nil
}

func (v *variables) close() { v.mem.Close() }

// find returns where a word is. The linker puts small variables first, so that it is
// near the beginning; large ones may take many megabytes.
func (v *variables) find(word []byte) (at int64, err error) {
	const chunk, limit = 64 << 10, 4 << 20
	buf := make([]byte, chunk)
	for ; at < limit; at += chunk {
		n, err := v.ReadAt(buf, at)
		if i := bytes.Index(buf[:n], word); i >= 0 {
			return at + int64(i), nil
		}
		if err != nil {
			break
		}
	}
	return 0, errors.New("the runtime keeps no such array")
}

// entryPoint is where this program began.
func entryPoint() (uint64, error) {
	const atEntry = 9
	aux, err := unix.Auxv()
	if err != nil {
		return 0, err
	}
	for _, a := range aux {
		if a[0] == atEntry {
			return uint64(a[1]), nil
		}
	}
	return 0, errors.New("the kernel does not tell the entry point")
}

func putWord(b []byte, w uintptr) {
	if len(b) == 4 {
		binary.NativeEndian.PutUint32(b, uint32(w))
	} else {
		binary.NativeEndian.PutUint64(b, uint64(w))
	}
}

func getWord(b []byte) uint64 {
	if unsafe.Sizeof(uintptr(0)) == 4 {
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}
