package filelock_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fuse is a FUSE filesystem whose server can be made to answer nothing.
type fuse struct {
	dir    string // where it is mounted
	source string // where its files are
	server *exec.Cmd
	// waiting is a file that tells how many requests the server has to answer.
	waiting string
}

// mountFUSE mounts one. It takes bindfs, or a command in FILELOCK_TEST_FUSE that
// mounts SOURCE at DIR and stays in the foreground.
func mountFUSE(t *testing.T) *fuse {
	t.Helper()
	command := strings.Fields(os.Getenv("FILELOCK_TEST_FUSE"))
	if len(command) == 0 {
		command = []string{"bindfs", "-f"}
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skipf("needs FUSE and bindfs, or a command like it in FILELOCK_TEST_FUSE: %v", err)
	}
	f := &fuse{dir: t.TempDir(), source: t.TempDir()}
	below := device(t, f.dir)
	var said strings.Builder
	f.server = exec.Command(command[0], append(command[1:], f.source, f.dir)...)
	f.server.Stdout, f.server.Stderr = &said, &said
	require.NoError(t, f.server.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.server.Wait()
	}()
	t.Cleanup(func() {
		f.signal(t, syscall.SIGCONT)
		f.signal(t, syscall.SIGTERM) // upon which it unmounts
		select {
		case <-ended:
		case <-time.After(time.Second):
			unmount(f.dir)
			f.server.Process.Kill()
			<-ended
		}
		unmount(f.dir) // if it is still there
	})
	for range 500 {
		select {
		case <-ended:
			t.Skipf("nothing can be mounted here: %v %s", f.server.ProcessState, said.String())
		default:
		}
		if device(t, f.dir) != below {
			f.waiting = filepath.Join(fuseControl(t), fmt.Sprint(unix.Minor(device(t, f.dir))), "waiting")
			return f
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Skip("nothing was mounted within five seconds")
	return nil
}

// unmount takes a FUSE filesystem away. Who may not unmount has had it mounted by
// a command that may.
func unmount(dir string) {
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); !errors.Is(err, syscall.EPERM) {
		return
	}
	for _, command := range []string{"fusermount3", "fusermount"} {
		if exec.Command(command, "-u", "-z", dir).Run() == nil {
			return
		}
	}
}

// fuseControl returns where the kernel tells of all FUSE filesystems.
func fuseControl(t *testing.T) string {
	t.Helper()
	const usual = "/sys/fs/fuse/connections"
	if all, err := os.ReadDir(usual); err == nil && len(all) > 0 {
		return usual
	}
	dir := t.TempDir()
	if err := syscall.Mount("fusectl", dir, "fusectl", 0, ""); err != nil {
		t.Skipf("%s is not mounted, nor can it be: %v", usual, err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func device(t *testing.T, path string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	require.NoError(t, syscall.Stat(path, &st))
	return uint64(st.Dev)
}

func (f *fuse) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := f.server.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		require.NoError(t, err)
	}
}

// stop has the server answer nothing, from when it returns. It picks a moment at
// which no request is under way: a process that has sent one, and the server has
// begun with it, cannot end before the answer. That is the kernel's doing, and no
// program can do anything about it.
//
// Should the test itself be held up, it goes on, and fails, after a while.
func (f *fuse) stop(t *testing.T) {
	t.Helper()
	rescue := time.AfterFunc(stuck, func() { f.server.Process.Signal(syscall.SIGCONT) })
	t.Cleanup(func() { rescue.Stop() })
	eventually(t, "stopping the server", func() bool {
		f.signal(t, syscall.SIGSTOP)
		eventually(t, "stopping its threads", f.stopped)
		text, err := os.ReadFile(f.waiting)
		require.NoError(t, err)
		if strings.TrimSpace(string(text)) == "0" {
			return true
		}
		f.signal(t, syscall.SIGCONT)
		return false
	})
}

// stopped reports whether all threads of the server are.
func (f *fuse) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", f.server.Process.Pid))
	for _, thread := range threads {
		line, err := os.ReadFile(thread)
		if err == nil && !strings.Contains(string(line), ") T ") {
			return false
		}
	}
	return err == nil
}
