package neighbour

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Machine names what shares one namespace of abstract sockets: a kernel that was started
// once, and a network namespace of it. It is "" where that cannot be told.
var Machine = sync.OnceValue(func() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	network, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(boot)) + " " + network))
	return hex.EncodeToString(sum[:8])
})

// shown is the socket of this process, -1 without one. It is never closed: its end is the
// process's.
var shown = struct {
	sync.Mutex
	socket int
	tidied time.Time
}{socket: -1}

func address(name string) unix.Sockaddr { return &unix.SockaddrUnix{Name: "@filelock-process-" + name} }

// Show shows this process to others under a name, which is the first one that it is
// called with. Where that fails they learn nothing, which is allowed.
func Show(name string) {
	shown.Lock()
	defer shown.Unlock()
	if shown.socket >= 0 {
		return
	}
	if socket, err := listen(name); err == nil {
		shown.socket = socket
	}
}

func listen(name string) (socket int, err error) {
	if socket, err = newSocket(); err != nil {
		return -1, err
	}
	if err = unix.Bind(socket, address(name)); err == nil {
		err = unix.Listen(socket, unix.SOMAXCONN)
	}
	if err != nil {
		unix.Close(socket)
		return -1, err
	}
	return socket, nil
}

func newSocket() (int, error) {
	return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// tidyEach is how often callers are forgotten at the most: to see that there is none takes
// the kernel ten microseconds.
const tidyEach = 100 * time.Millisecond

// Tidy forgets those who have connected: they have learnt all that they wanted, and the
// kernel keeps room for some thousands only. It is to be called again and again.
func Tidy() {
	shown.Lock()
	defer shown.Unlock()
	if shown.socket >= 0 && time.Since(shown.tidied) >= tidyEach {
		forget(shown.socket)
		shown.tidied = time.Now()
	}
}

func forget(socket int) {
	for {
		caller, _, err := unix.Accept4(socket, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		unix.Close(caller)
	}
}

// Meet returns a channel that is closed when the process of that name has ended, or nil
// if nothing can be known of it: it may have ended already. The channel may stay open
// for good. The caller calls part when it does not care any more.
func Meet(name string) (ended <-chan struct{}, part func()) {
	return meet(func() int { return behind(name) })
}

func meet(behind func() int) (ended <-chan struct{}, part func()) {
	pid := behind()
	if pid <= 0 { // 0: it is in no pid namespace of ours
		return nil, func() {}
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, func() {}
	}
	if unix.SetNonblock(fd, true) != nil || behind() != pid {
		unix.Close(fd)
		return nil, func() {}
	}
	return await(os.NewFile(uintptr(fd), "pidfd"))
}

// behind returns the pid of the process that has shown itself under a name, or 0.
func behind(name string) int {
	socket, err := newSocket()
	if err != nil {
		return 0
	}
	defer unix.Close(socket)
	if unix.Connect(socket, address(name)) != nil { // it does not wait: EAGAIN if there is no room
		return 0
	}
	credentials, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0
	}
	return int(credentials.Pid)
}

// await waits for the end of the process that a pidfd is of. The runtime's poller does,
// so that it takes no thread.
func await(pidfd *os.File) (ended <-chan struct{}, part func()) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		pidfd.Close()
		return nil, func() {}
	}
	told := make(chan struct{})
	go func() {
		if raw.Read(hasEnded) == nil {
			close(told)
		}
	}()
	return told, func() { pidfd.Close() }
}

func hasEnded(pidfd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n == 1 && poll[0].Revents&unix.POLLIN != 0
}
