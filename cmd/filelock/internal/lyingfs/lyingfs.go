//go:build linux && (amd64 || arm64)

// Package lyingfs is for tests: a FUSE filesystem that shows another directory and, if
// wanted, lies about it in one of the ways that a lock cannot live with.
package lyingfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// The lies there are.
const (
	// StaleListings: a listing shows what was there some time ago.
	StaleListings = "stale-listings"
	// TruncatedTimes: of times only the hour is kept.
	TruncatedTimes = "truncated-times"
	// LyingLocks: everybody gets every lock.
	LyingLocks = "lying-locks"
	// Full: nothing can be created.
	Full = "full"
	// Silent: nothing is answered while the source has a file named Silence.
	Silent = "silent"
)

// Silence is the name of the file that makes a Silent one so.
const Silence = "silence"

// age is how old stale listings are, and unit what truncated times are cut to.
const (
	age  = 300 * time.Millisecond
	unit = time.Hour
)

// Mount shows source at dir until the server is unmounted. lie is one of the above, or ""
// for a filesystem that is honest.
func Mount(source, dir, lie string) (*fuse.Server, error) {
	switch lie {
	case "", StaleListings, TruncatedTimes, LyingLocks, Full, Silent:
	default:
		return nil, fmt.Errorf("there is no lie %q", lie)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(source, &st); err != nil {
		return nil, err
	}
	root := &fs.LoopbackRoot{Path: source, Dev: uint64(st.Dev)}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, lie: lie}
	root.RootNode = top
	zero := time.Duration(0)
	return fs.Mount(dir, top, &fs.Options{
		AttrTimeout: &zero, EntryTimeout: &zero, NegativeTimeout: &zero, NullPermissions: true,
		MountOptions: fuse.MountOptions{FsName: source, Name: "lyingfs", DirectMount: true, EnableLocks: true},
	})
}

// node is a file or a directory.
type node struct {
	fs.LoopbackNode
	lie string

	mu     sync.Mutex
	listed time.Time
	old    []fuse.DirEntry
}

// answer returns when there may be an answer, or the asking process is about to end.
func (n *node) answer(ctx context.Context) syscall.Errno {
	for n.lie == Silent {
		if _, err := os.Lstat(filepath.Join(n.RootData.Path, Silence)); err != nil {
			break
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return syscall.EINTR
		}
	}
	return 0
}

// WrapChild has what is found below lie, too.
func (n *node) WrapChild(context.Context, fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: fs.LoopbackNode{RootData: n.RootData}, lie: n.lie}
}

var (
	_ fs.NodeWrapChilder = (*node)(nil)
	_ fs.NodeCreater     = (*node)(nil)
	_ fs.NodeReaddirer   = (*node)(nil)
	_ fs.NodeGetattrer   = (*node)(nil)
	_ fs.NodeLookuper    = (*node)(nil)
	_ fs.NodeSetattrer   = (*node)(nil)
	_ fs.NodeGetlker     = (*node)(nil)
	_ fs.NodeSetlker     = (*node)(nil)
	_ fs.NodeSetlkwer    = (*node)(nil)
)

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if n.lie == Full {
		return nil, nil, 0, syscall.ENOSPC
	}
	if err := n.answer(ctx); err != 0 {
		return nil, nil, 0, err
	}
	inode, h, f, err := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	n.cut(&out.Attr)
	return inode, h, f, err
}

// Readdir lists the directory. The loopback's own OpendirHandle would be asked first.
func (n *node) Readdir(ctx context.Context) (fs.DirStream, syscall.Errno) {
	if err := n.answer(ctx); err != 0 {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lie == StaleListings && time.Since(n.listed) < age {
		return fs.NewListDirStream(n.old), 0
	}
	s, err := n.LoopbackNode.Readdir(ctx)
	if err != 0 {
		return nil, err
	}
	defer s.Close()
	var all []fuse.DirEntry
	for s.HasNext() {
		e, err := s.Next()
		if err != 0 {
			return nil, err
		}
		all = append(all, e)
	}
	n.listed, n.old = time.Now(), all
	return fs.NewListDirStream(all), 0
}

func (n *node) OpendirHandle(ctx context.Context, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	s, err := n.Readdir(ctx)
	if err != 0 {
		return nil, 0, err
	}
	return &handle{s}, 0, 0
}

// handle is an open directory.
type handle struct{ fs.DirStream }

func (h *handle) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if !h.HasNext() {
		return nil, 0
	}
	e, err := h.Next()
	return &e, err
}

var _ fs.FileReaddirenter = (*handle)(nil)

// cut truncates the times that are shown.
func (n *node) cut(a *fuse.Attr) {
	if n.lie == TruncatedTimes {
		a.Mtime -= a.Mtime % uint64(unit.Seconds())
		a.Mtimensec = 0
	}
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if err := n.answer(ctx); err != 0 {
		return nil, err
	}
	inode, err := n.LoopbackNode.Lookup(ctx, name, out)
	n.cut(&out.Attr)
	return inode, err
}

func (n *node) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if err := n.answer(ctx); err != 0 {
		return err
	}
	err := n.LoopbackNode.Getattr(ctx, f, out)
	n.cut(&out.Attr)
	return err
}

func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	err := n.LoopbackNode.Setattr(ctx, f, in, out)
	n.cut(&out.Attr)
	return err
}

// locker is what the loopback's open files are for locks.
type locker interface {
	Getlk(ctx context.Context, owner uint64, lk *fuse.FileLock, flags uint32, out *fuse.FileLock) syscall.Errno
	Setlk(ctx context.Context, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno
	Setlkw(ctx context.Context, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno
}

func (n *node) Getlk(ctx context.Context, f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32, out *fuse.FileLock) syscall.Errno {
	if n.lie == LyingLocks {
		out.Typ = syscall.F_UNLCK
		return 0
	}
	return f.(locker).Getlk(ctx, owner, lk, flags, out)
}

func (n *node) Setlk(ctx context.Context, f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno {
	if n.lie == LyingLocks {
		return 0
	}
	return f.(locker).Setlk(ctx, owner, lk, flags)
}

func (n *node) Setlkw(ctx context.Context, f fs.FileHandle, owner uint64, lk *fuse.FileLock, flags uint32) syscall.Errno {
	if n.lie == LyingLocks {
		return 0
	}
	return f.(locker).Setlkw(ctx, owner, lk, flags)
}
