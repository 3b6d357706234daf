//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/cmd/filelock/internal/lyingfs"
)

func init() {
	// mount DIR SOURCE [LIE]: show SOURCE at DIR through FUSE, see package lyingfs.
	commands["mount"] = mountLying
}

func mountLying(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: mount DIR SOURCE [LIE]")
	}
	lie := ""
	if len(args) > 2 {
		lie = args[2]
	}
	dir := ts.MkAbs(args[0])
	server, err := lyingfs.Mount(ts.MkAbs(args[1]), dir, lie)
	ts.Check(err)
	ts.Defer(func() {
		_ = os.Remove(filepath.Join(ts.MkAbs(args[1]), lyingfs.Silence))
		// Processes of the script that are still there are killed only after this.
		if server.Unmount() != nil {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
}

// mayMount reports whether this process may mount through FUSE.
var mayMount = sync.OnceValue(func() bool {
	base, err := os.MkdirTemp("", "fuse-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(base)
	source, dir := filepath.Join(base, "source"), filepath.Join(base, "dir")
	if errors.Join(os.Mkdir(source, 0o755), os.Mkdir(dir, 0o755)) != nil {
		return false
	}
	server, err := lyingfs.Mount(source, dir, "")
	if err != nil {
		return false
	}
	return server.Unmount() == nil
})

// mayUnshare reports whether this process may make a container of its own.
var mayUnshare = sync.OnceValue(func() bool {
	return exec.Command("unshare", "--uts", "--pid", "--fork", "--mount-proc", "hostname", "container").Run() == nil
})
