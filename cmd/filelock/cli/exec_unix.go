//go:build unix

package cli

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultPath is searched where the environment has no PATH, as execvp(3) does.
const defaultPath = "/bin:/usr/bin"

// shellCommand is the command line for a string: the user's shell runs it.
func shellCommand(text string) []string {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	return []string{shell, "-c", text}
}

// lookup returns the file to execute for a command's name, as execvp(3) finds it. An
// empty element of PATH is the working directory.
func lookup(name string) (string, error) {
	switch {
	case name == "":
		return "", &os.PathError{Op: "exec", Path: `""`, Err: errNotInPath}
	case strings.Contains(name, "/"):
		return name, nil // what is wrong with it, exec tells
	}
	path, set := os.LookupEnv("PATH")
	if !set {
		path = defaultPath
	}
	var refused error
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		switch err := executable(file); {
		case err == nil:
			return file, nil
		case errors.Is(err, fs.ErrPermission):
			refused = &os.PathError{Op: "exec", Path: file, Err: unix.EACCES}
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", &os.PathError{Op: "exec", Path: name, Err: errNotInPath}
}

var errNotInPath = errors.New("there is no such command in PATH")

func executable(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return unix.EACCES
	}
	return unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS)
}

// withInterpreter calls start with a command's file and arguments, and once more with
// the shell in front if the file is a script that does not name its interpreter. That
// is what execvp(3) does, too.
func withInterpreter(argv []string, start func(file string, argv []string) error) error {
	file, err := lookup(argv[0])
	if err != nil {
		return err
	}
	err = start(file, argv)
	if errors.Is(err, syscall.ENOEXEC) {
		file, argv = "/bin/sh", append([]string{"/bin/sh", file}, argv[1:]...)
		err = start(file, argv)
	}
	if err != nil {
		return &os.PathError{Op: "exec", Path: file, Err: err}
	}
	return nil
}
