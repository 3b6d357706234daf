package liveness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Describe returns what a process is and whose. It asks /proc, and the file of users.
func Describe(pid int) (d Description) {
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		args = bytes.TrimRight(args, "\x00")
		program, _, _ := bytes.Cut(args, []byte{0})
		d.Program, d.Command = string(program), string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))
	}
	var st syscall.Stat_t
	if err := stat(fmt.Sprintf("/proc/%d", pid), &st); err == nil {
		d.User = userName(st.Uid)
	}
	return d
}

// Opener returns a process of this pid namespace, other than this one, that has
// the file at path open for writing, or 0 if none can be seen.
func Opener(path string) (pid int) {
	file, ok := fileAt(path)
	if !ok {
		return 0
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range processes {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if has, err := file.openIn(dir); has && err == nil {
			return pid
		}
	}
	return 0
}

// LetGo reports whether it can be seen that a process does not have the file open for
// writing.
func LetGo(pid int, path string) bool {
	file, ok := fileAt(path)
	if !ok {
		return false
	}
	has, err := file.openIn(fmt.Sprintf("/proc/%d/fd", pid))
	return err == nil && !has
}

// file is what a file is known by in all processes. Its directory has other names where
// other things are mounted, as in a container.
type file struct {
	base     string
	dev, ino uint64
}

func fileAt(path string) (f file, ok bool) {
	var st syscall.Stat_t
	if err := stat(path, &st); err != nil {
		return f, false
	}
	return file{filepath.Base(path), uint64(st.Dev), st.Ino}, true
}

// openIn reports whether a process, by the directory of its descriptors, has the file
// open for writing. Of other users' that cannot be seen. Only what has the name is looked
// at, since the server of another file may not answer.
func (f file) openIn(dir string) (bool, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, entry := range files {
		link := filepath.Join(dir, entry.Name())
		if to, err := os.Readlink(link); err != nil || filepath.Base(to) != f.base {
			continue
		}
		var st syscall.Stat_t
		if stat(link, &st) != nil || uint64(st.Dev) != f.dev || st.Ino != f.ino {
			continue
		}
		const writable = 0o200 // as the link's permission tells
		if info, err := os.Lstat(link); err == nil && info.Mode().Perm()&writable != 0 {
			return true, nil
		}
	}
	return false, nil
}

// userName looks a user up in the one file that there always is. Package os/user
// would link the C library in.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return id
	}
	for line := range strings.Lines(string(users)) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[2] == id {
			return fields[0]
		}
	}
	return id
}
