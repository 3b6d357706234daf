package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is how many symbolic links are followed to find a target, as many
// as Linux follows.
const maxLinks = 40

// canonical returns the one path that stands for the target, however it is
// spelled: absolute, its symbolic links resolved as far as it exists.
func canonical(path string) (string, error) {
	switch {
	case path == "":
		return "", fmt.Errorf("%w: the path is empty", ErrInvalid)
	case strings.ContainsRune(path, 0):
		return "", fmt.Errorf("%w: the path has a NUL byte", ErrInvalid)
	case os.IsPathSeparator(path[len(path)-1]):
		return "", fmt.Errorf("%w: the path is a directory's; give the lock a file's name in it", ErrInvalid)
	}
	path, err := absolute(path)
	if err != nil {
		return "", err
	}
	for range maxLinks {
		dir, base := filepath.Split(path)
		if isRecord(base) {
			return "", fmt.Errorf("%w: a name that ends in .lock.fence is of a record that another lock keeps (WithFencing)", ErrInvalid)
		}
		if base == "." || base == ".." {
			return "", fmt.Errorf("%w: the path is a directory; give the lock a file's name in it", ErrInvalid)
		}
		dir, err := resolveDir(dir)
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, base)
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, nil
		case err != nil:
			return "", err
		case info.IsDir():
			return "", fmt.Errorf("%w: the path is a directory; give the lock a file's name in it", ErrInvalid)
		case info.Mode()&fs.ModeSymlink == 0:
			return path, nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = dir + string(filepath.Separator) + to
		}
		path = to
	}
	return "", &fs.PathError{Op: "readlink", Path: path, Err: errLoop}
}

// absolute is filepath.Abs without its Clean, which would resolve ".." before
// the symbolic links that stand in front of it, and so name another file.
func absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return wd + string(filepath.Separator) + path, nil
}

// resolveDir resolves the links of a directory's path as far as it exists.
func resolveDir(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	// Without the slash at its end, which would have the link followed.
	if _, err := os.Lstat(strings.TrimRight(dir, string(filepath.Separator))); err == nil {
		return "", fmt.Errorf("%w: %s is a symbolic link to nowhere", fs.ErrNotExist, dir)
	}
	parent, last := filepath.Split(strings.TrimRight(dir, string(filepath.Separator)))
	if parent == "" || last == "" || last == ".." {
		return "", err
	}
	if parent, err = resolveDir(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, last), nil
}
