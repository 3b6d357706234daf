package fence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/filelock-go/filelock/internal/ticket"
)

const (
	// fileMode is of the file, which nobody reads or writes.
	fileMode = 0o644
	// newEnd is how the name of a record ends that is being made.
	newEnd = ".new"
	// scratch is made and removed in the record where only an own change makes a
	// listing fresh.
	scratch = "scratch"
)

// folder is a record's directory. It goes by the open directory, so that what is
// done is done to what was looked at.
type folder struct {
	path  string
	alone func() bool
	at    func(step string)

	root *os.Root
	self fs.FileInfo
}

func (f *folder) open() error {
	info, err := os.Lstat(f.path)
	if err != nil {
		return err
	}
	if !info.IsDir() { // a symbolic link is none either
		return fmt.Errorf("%w: %s is no directory, and was not made by this lock; move it away", ErrRecord, f.path)
	}
	parent, err := os.Stat(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	if why := unsafeFor(info, parent); why != "" {
		return fmt.Errorf("%w: %s: %s", ErrRecord, f.path, why)
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return err
	}
	self, err := root.Stat(".")
	if err == nil && !f.same(info, self) {
		err = errAgain
	}
	if err != nil {
		return errors.Join(err, root.Close())
	}
	f.root, f.self = root, self
	return nil
}

// same reports whether two looks were at one directory. Some servers number files
// as they like.
func (f *folder) same(a, b fs.FileInfo) bool { return !f.alone() || os.SameFile(a, b) }

func (f *folder) close() {
	_ = f.root.Close() // of an open directory there is nothing to lose
	f.root = nil
}

func (f *folder) list() (names []string, err error) {
	if !f.alone() {
		f.change()
	}
	d, err := f.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Readdirnames(-1)
}

// change makes a change of our own. If it cannot, the listing may be old, and the
// rename that goes by it fails.
func (f *folder) change() {
	if file, err := f.root.OpenFile(scratch, os.O_CREATE|os.O_WRONLY, fileMode); err == nil {
		_ = file.Close()
		_ = f.root.Remove(scratch)
	}
}

func (f *folder) move(from, to string) error { return f.root.Rename(from, to) }

func (f *folder) stands() (bool, error) {
	info, err := os.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir() && f.same(info, f.self), err
}

func (f *folder) sync(born bool) error {
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	if err := syncAndClose(d); err != nil || !born {
		return err
	}
	return syncDir(filepath.Dir(f.path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return syncAndClose(d)
}

// syncAndClose passes over that there is no such call for directories: then their
// changes are kept in the order in which they were made, or at once, or nothing can
// be done.
func syncAndClose(d *os.File) error {
	err := d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) || cannotSync(err) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// make gives a new directory its file, and then its name. A kill in between leaves
// one that ends in .new, which the next one to make this record removes.
func (f *folder) make(first string) error {
	temp := f.path + "." + ticket.NewNonce()[:8] + newEnd
	f.at("make")
	err := f.fill(temp, first)
	if err == nil {
		// Fails if there is one, which has a file in it.
		err = os.Rename(temp, f.path)
	}
	f.at("made")
	if err != nil {
		_ = os.RemoveAll(temp)
		if info, second := os.Lstat(f.path); second == nil && info.IsDir() {
			return nil
		}
		return err
	}
	f.sweep()
	f.at("swept")
	return nil
}

func (f *folder) fill(temp, first string) error {
	if err := os.Mkdir(temp, 0o777); err != nil {
		return err
	}
	f.at("make directory")
	share(temp, filepath.Dir(temp))
	f.at("make mode")
	file, err := os.OpenFile(filepath.Join(temp, first), os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	f.at("make file")
	if err := errors.Join(file.Close(), syncDir(temp)); err != nil {
		return err
	}
	f.at("make sync")
	return nil
}

// sweep removes what others left who were killed while they made this record, and
// what others make who come too late.
func (f *folder) sweep() {
	dir, base := filepath.Split(f.path)
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	names, _ := d.Readdirnames(-1)
	_ = d.Close()
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, base+".") || !strings.HasSuffix(name, newEnd)
	})
	for _, name := range names {
		_ = os.RemoveAll(filepath.Join(dir, name))
	}
}
