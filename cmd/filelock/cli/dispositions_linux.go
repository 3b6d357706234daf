//go:build !mips && !mipsle && !mips64 && !mips64le

package cli

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
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

	vars, err := ownVariables(".noptrbss")
	if err != nil {
		return nil, err
	}
	marked := make([]byte, word)
	putWord(marked, mark)
	end := bytes.Index(vars, marked)
	begin := end - int(uintptr(markedSignal)*word)
	if begin < 0 || bytes.Count(vars, marked) != 1 {
		return nil, errors.New("the runtime keeps no such array")
	}
	for at := begin + int(word); at < end; at += int(word) {
		handler := getWord(vars[at:])
		if handler != sigDefault && handler != sigIgnore {
			return nil, errors.New("that is no array of handlers")
		}
		handlers = append(handlers, handler)
	}
	return handlers, nil
}

// ownVariables returns a copy of a section of this process's memory.
func ownVariables(section string) ([]byte, error) {
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
	defer mem.Close()
	vars := make([]byte, s.Size)
	// The program may be loaded elsewhere than its file says.
	_, err = mem.ReadAt(vars, int64(s.Addr+entry-exe.Entry))
	return vars, err
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
