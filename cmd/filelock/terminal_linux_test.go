package main

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// spawnTTY starts a process as the leader of a session with a pseudo-terminal,
// in its foreground, as a shell's job would be.
func spawnTTY(ts *testscript.TestScript, neg bool, args []string) {
	inside, outside, err := terminal()
	ts.Check(err)
	ts.Defer(func() { outside.Close() })
	defer inside.Close()
	start(ts, args, inside, outside)
}

// terminal makes a pseudo-terminal.
func terminal() (inside, outside *os.File, err error) {
	outside, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(outside.Fd()), unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(int(outside.Fd()), unix.TIOCSPTLCK, 0))
	if err == nil {
		inside, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		outside.Close()
		return nil, nil, err
	}
	return inside, outside, nil
}

func ownTerminal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true, Setctty: true} }
