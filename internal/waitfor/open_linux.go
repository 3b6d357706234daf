package waitfor

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

const (
	direntLen  = int(unsafe.Offsetof(unix.Dirent{}.Reclen))
	direntName = int(unsafe.Offsetof(unix.Dirent{}.Name))
)

// tables are for listings of descriptors, and what their links say.
var tables = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// Open returns the tickets that a process has open to queue with them: for writing,
// which nobody else does. Of a process that may not be looked at it returns none, as
// of one that is gone.
func Open(pid int) (tickets []Ticket) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fd, err := open(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	buf := tables.Get().(*[]byte)
	defer tables.Put(buf)
	half := len(*buf) / 2
	table, link := (*buf)[:half], (*buf)[half:]
	for {
		n, err := unix.Getdents(fd, table)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return tickets
		}
		for rest := table[:n]; len(rest) > 0; {
			size := binary.NativeEndian.Uint16(rest[direntLen:])
			name := rest[direntName:size]
			name = name[:bytes.IndexByte(name, 0)]
			rest = rest[size:]
			n, err := unix.Readlinkat(fd, string(name), link)
			if err != nil || !bytes.HasSuffix(link[:n], ticketEnd) || !bytes.Contains(link[:n], ticketMiddle) {
				continue
			}
			if t, ok := read(fd, pid, string(name), string(link[:n])); ok {
				tickets = append(tickets, t)
			}
		}
	}
}

var ticketMiddle, ticketEnd = []byte(".lock."), []byte(".pid")

// open is for files of /proc, which package os would first give to its poller.
func open(path string, flags int) (fd int, err error) {
	for {
		if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0); err != unix.EINTR {
			return fd, err
		}
	}
}

// read returns a ticket that a process has open under a descriptor. fd is the directory
// of these.
func read(fd, pid int, descriptor, path string) (t Ticket, ok bool) {
	t.PID, t.File = pid, filepath.Base(path)
	t.Dir = filepath.Dir(path)
	if t.Prefix, t.Name, ok = ticket.Split(t.File); !ok {
		return t, false
	}
	info, err := readSmall(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, descriptor))
	if err != nil {
		return t, false
	}
	writable := false
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case key == "flags" && len(fields) == 1:
			flags, err := strconv.ParseUint(fields[0], 8, 64)
			writable = err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		case key == "lock":
			t.State = max(t.State, stateOf(fields))
		}
	}
	if !writable || t.State == Idle || !liveness.OneKernel(t.Name.Place) {
		t.State = Idle // another kernel might not answer
		return t, writable
	}
	var st unix.Stat_t
	if err := unix.Fstatat(fd, descriptor, &st, 0); err != nil {
		return t, false
	}
	t.Number = queue.Number{Sec: int64(st.Mtim.Sec), Nsec: int32(st.Mtim.Nsec)}
	return t, true
}

// stateOf says what a lock of an open ticket means, as in
//
//	lock:	1: OFDLCK ADVISORY  WRITE -1 08:01:1234 0 0
//
// where the entry is a write lock on the first byte, and the witness a read lock on the
// second.
func stateOf(lock []string) State {
	const kind, mode, from, to, all = 1, 3, 6, 7, 8
	if len(lock) != all || lock[kind] != "OFDLCK" {
		return Idle
	}
	switch [3]string{lock[mode], lock[from], lock[to]} {
	case [3]string{"WRITE", "0", "0"}:
		return Inside
	case [3]string{"READ", "1", "1"}:
		return Waiting
	}
	return Idle
}

// readSmall reads a file of /proc that fits a page.
func readSmall(path string) (string, error) {
	fd, err := open(path, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		return string(buf[:max(n, 0)]), err
	}
}

// All returns the processes of this pid namespace that have tickets open, in the order
// of their pids: those that this process may look at.
func All() (all []Process) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		if tickets := Open(pid); len(tickets) > 0 {
			all = append(all, Process{pid, tickets, mounts(pid)})
		}
	}
	slices.SortFunc(all, func(a, b Process) int { return a.PID - b.PID })
	return all
}

// mounts returns a process's mount namespace, or 0.
func mounts(pid int) uint64 {
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/ns/mnt", pid), &st) != nil {
		return 0
	}
	return st.Ino
}
