package locktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// userNamespace names the user namespace that a process is in.
const userNamespace = "/proc/self/ns/user"

func init() {
	Register("blind", blind)
	Register("may be blind", mayBeBlind)
}

// blind runs another main where no inotify instance can be made.
//
// Those that a user may have are few, and all of the user's programs share them: a
// test that took them would leave the others without. A user namespace has a limit of
// its own besides.
func blind(args []string) error {
	if err := setLimit(args[0]); err != nil {
		return err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		unix.Close(fd)
		return errors.New("there is an inotify instance beyond the limit")
	}
	if err != unix.EMFILE {
		return os.NewSyscallError("inotify_init1", err)
	}
	return mains[args[1]](args[2:])
}

// setLimit sets the limit of a namespace that must not be that of the others.
func setLimit(others string) error {
	own, err := os.Readlink(userNamespace)
	if err != nil {
		return err
	}
	if own == others {
		return fmt.Errorf("%s is the namespace of the others, too", own)
	}
	return os.WriteFile("/proc/sys/user/max_inotify_instances", []byte("0"), 0)
}

// mayBeBlind says what forbids to set the limit.
func mayBeBlind(args []string) error {
	err := setLimit(args[0])
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EROFS) {
		Say("%v", err)
		return nil
	}
	return err
}

// tryBlind tells what forbids StartBlind here. It tries, since limits, security modules
// and containers forbid different parts of it.
var tryBlind = sync.OnceValues(func() (refused string, err error) {
	cmd, err := blindCommand("may be blind")
	if errors.Is(err, os.ErrNotExist) {
		return err.Error(), nil // there is no /proc, or not this part of it
	}
	if err != nil {
		return "", err
	}
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return err.Error(), nil // it was not started
	}
	return strings.TrimSpace(string(out)), nil
})

// blindCommand returns the command of a child in a user namespace of its own.
func blindCommand(main string, args ...any) (*exec.Cmd, error) {
	others, err := os.Readlink(userNamespace)
	if err != nil {
		return nil, err
	}
	cmd, err := command(append([]any{main, others}, args...)...)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return cmd, nil
}

// StartBlind is Start, of a child to which the kernel gives no inotify instance. It
// skips the test where there is no right to that.
func StartBlind(t testing.TB, args ...any) *Child {
	t.Helper()
	refused, err := tryBlind()
	if err != nil {
		t.Fatal(err)
	}
	if refused != "" {
		t.Skip("no right here to a user namespace without inotify instances: " + refused)
	}
	cmd, err := blindCommand("blind", args...)
	if err != nil {
		t.Fatal(err)
	}
	return StartCmd(t, cmd)
}
