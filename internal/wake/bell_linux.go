package wake

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Bell tells those who listen for it that the owner of a ticket has left or
// died, where inotify instances are too few for all who wait. It costs neither
// a file nor an instance, and the kernel rings it even for those who were
// killed.
//
// It is a socket in the abstract namespace that listens and never accepts: when
// it is closed, all who are connected to it are told. (Those who gave up stay
// connected until then. Once 4,096 are, newcomers find no bell.) It is no more
// than a hint: anybody may take the name, other network namespaces do not hear
// it, and it does not ring when somebody else removes the ticket.
type Bell struct{ fd int }

// bellOf returns a bell's address. Names that are too long for one fail later.
func bellOf(name string) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: "@filelock/" + name}
}

// Hang makes a bell of this name. Where it cannot, it returns nil.
func Hang(name string) *Bell {
	fd, err := bellSocket()
	if err != nil {
		return nil
	}
	if unix.Bind(fd, bellOf(name)) != nil || unix.Listen(fd, backlog) != nil {
		unix.Close(fd)
		return nil
	}
	return &Bell{fd}
}

// Ring tells the listeners, and takes the bell down. A nil bell does nothing.
//
// Each connection is ended by itself, since a forked child may have copies of
// the socket, which would keep it silent. First nobody more is let in, or one
// who connects in a loop could keep us here.
func (b *Bell) Ring() {
	if b == nil {
		return
	}
	_ = unix.Shutdown(b.fd, unix.SHUT_RDWR)
	for range backlog + 1 {
		fd, _, err := unix.Accept4(b.fd, unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			unix.Close(fd)
		case err != unix.EINTR && err != unix.ECONNABORTED:
			unix.Close(b.fd)
			return
		}
	}
	unix.Close(b.fd)
}

// backlog is how many may be connected.
const backlog = unix.SOMAXCONN

func bellSocket() (int, error) {
	return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// listener waits for a bell.
type listener struct{ file *os.File }

// listen begins to listen for the bell of this name, if it is pid's.
func listen(name string, pid int) *listener {
	if name == "" {
		return nil
	}
	fd, err := bellSocket()
	if err != nil {
		return nil
	}
	if unix.Connect(fd, bellOf(name)) == nil {
		if peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && int(peer.Pid) == pid {
			file := os.NewFile(uintptr(fd), "bell")
			if file.SetReadDeadline(time.Time{}) == nil {
				return &listener{file}
			}
			file.Close() // the runtime cannot wait for it
			return nil
		}
	}
	unix.Close(fd)
	return nil
}

// wait reports whether the bell rang, before d has passed and ctx was done.
func (l *listener) wait(ctx context.Context, d time.Duration) (rang bool) {
	l.file.SetReadDeadline(time.Now().Add(d))
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { l.file.SetReadDeadline(time.Unix(1, 0)) })()
	}
	_, err := l.file.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	l.file.Close()
	return true
}

func (l *listener) stop() { l.file.Close() }
