package rival

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// FileFloor is the system calls of a first passage of ours and nothing else: what
// they take is what a lock of one file for each contender cannot do without.
var FileFloor = Rival{
	Key: "floor-file", Name: "floor: the calls of a first passage", Floor: true, Shared: true,
	Open: func(path string) (Lock, error) { return openFileFloor(path) },
}

type fileFloor struct {
	dir        int
	buf        []byte
	head, tail string // of the path
	base       int    // where in the path the name begins
	next       uint64

	path string
	fd   int
}

// instances tells the names of several floors in one directory apart.
var instances atomic.Uint64

func openFileFloor(path string) (*fileFloor, error) {
	dir, err := unix.Open(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &fileFloor{
		dir: dir, buf: make([]byte, 64<<10), next: instances.Add(1) << 32,
		head: path + ".lock.floor." + strconv.Itoa(unix.Getpid()) + ".",
		tail: "-00000-00000000-00000000-x.pid",
		base: len(filepath.Dir(path)) + 1,
	}, nil
}

// Lock makes the calls in the order, with the flags and with a name of the
// length of a lock's that is free.
func (f *fileFloor) Lock(context.Context) error {
	if err := f.create(); err != nil {
		return err
	}
	if err := listAll(f.dir, f.buf); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	return f.in()
}

// in takes the entry lock, and then looks the name up.
func (f *fileFloor) in() error {
	if err := f.lock(unix.F_WRLCK, entryByte, 1); err != nil {
		return err
	}
	var st unix.Stat_t
	return unix.Fstatat(f.dir, f.path[f.base:], &st, unix.AT_SYMLINK_NOFOLLOW)
}

// A ticket's locks, as internal/ticketdir has them.
const (
	entryByte   = 0
	witnessByte = 1
)

func (f *fileFloor) lock(kind int16, start, length int64) error {
	return unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_SETLK,
		&unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: start, Len: length})
}

// out gives up all locks of the ticket.
func (f *fileFloor) out() error { return f.lock(unix.F_UNLCK, entryByte, 2) }

// create makes a file under a name that was never used before.
func (f *fileFloor) create() (err error) {
	f.next++
	var nonce [16]byte
	binary.BigEndian.PutUint64(nonce[:], f.next)
	f.path = f.head + hex.EncodeToString(nonce[:]) + f.tail
	const flags = unix.O_CREAT | unix.O_EXCL | unix.O_RDWR | unix.O_NOFOLLOW | unix.O_CLOEXEC
	f.fd, err = unix.Openat(unix.AT_FDCWD, f.path, flags, 0o644)
	return err
}

func (f *fileFloor) Unlock() error { return errors.Join(f.out(), f.remove()) }

func (f *fileFloor) remove() error {
	if err := unix.Unlinkat(f.dir, f.path[f.base:], 0); err != nil {
		return err
	}
	return unix.Close(f.fd)
}

func (f *fileFloor) Close() error { return unix.Close(f.dir) }

// listAll reads an open directory from its beginning to its end.
func listAll(dir int, buf []byte) error {
	if _, err := unix.Seek(dir, 0, unix.SEEK_SET); err != nil {
		return err
	}
	for {
		if n, err := unix.Getdents(dir, buf); n == 0 || err != nil {
			return err
		}
	}
}
