package neighbour

import (
	"crypto/rand"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/locktest"
)

func init() { locktest.Register("show", show) }

// show shows a process under a name, until it is killed, or becomes another program.
func show(args []string) error {
	Show(args[0])
	locktest.Say("shown")
	locktest.Gate()
	path, err := exec.LookPath("sleep")
	if err != nil {
		return err
	}
	return syscall.Exec(path, []string{"sleep", "60"}, nil)
}

func TestMain(m *testing.M) {
	locktest.RunChild()
	goleak.VerifyTestMain(m)
}

func startShown(t *testing.T) (child *locktest.Child, name string) {
	t.Helper()
	name = rand.Text()
	child = locktest.Start(t, "show", name)
	child.Expect("shown")
	return child, name
}

func lives(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	require.NotNil(t, ended)
	select {
	case <-ended:
		t.Fatal("it lives")
	case <-time.After(20 * time.Millisecond):
	}
}

// TestEnd: the end of a process is told, however it ends; that it is stopped is not.
func TestEnd(t *testing.T) {
	child, name := startShown(t)
	ended, part := Meet(name)
	defer part()
	lives(t, ended)
	require.NoError(t, child.Cmd.Process.Signal(syscall.SIGSTOP))
	lives(t, ended)
	began := time.Now()
	child.Kill()
	select {
	case <-ended:
		t.Logf("told within %v", time.Since(began))
	case <-time.After(locktest.Stuck):
		t.Fatal("it is not told")
	}
	again, _ := Meet(name)
	require.Nil(t, again, "of one that has ended before nothing is known")
}

// TestOtherProgram: a process that becomes another program does not end; but nobody
// meets it any more.
func TestOtherProgram(t *testing.T) {
	child, name := startShown(t)
	ended, part := Meet(name)
	defer part()
	child.Go()
	require.Eventually(t, func() bool {
		met, part := Meet(name)
		part()
		return met == nil
	}, locktest.Stuck, time.Millisecond)
	lives(t, ended)
}

// TestPart: who does not care any more is told nothing, and leaves nothing behind.
func TestPart(t *testing.T) {
	child, name := startShown(t)
	ended, part := Meet(name)
	part()
	child.Kill()
	lives(t, ended)
}

// TestNobody: nothing is known of a name that nobody has, nor of a process that is in no pid
// namespace of ours, nor of a pid that may be another one's by now:
//
//	the socket is of pid 7
//	7 ends, and another process has its pid
//	the pidfd is that one's, and the socket nobody's any more
func TestNobody(t *testing.T) {
	ended, part := Meet(rand.Text())
	require.Nil(t, ended)
	part()
	for _, pids := range [][]int{{0}, {os.Getpid(), 0}, {os.Getpid(), os.Getppid()}} {
		ended, part := meet(func() (pid int) {
			pid, pids = pids[0], pids[1:]
			return pid
		})
		require.Nil(t, ended)
		require.Empty(t, pids)
		part()
	}
}

// crowd calls until there is no room left for callers.
func crowd(t *testing.T, name string) {
	t.Helper()
	for {
		socket, err := newSocket()
		require.NoError(t, err)
		err = unix.Connect(socket, address(name))
		unix.Close(socket)
		if err != nil {
			require.ErrorIs(t, err, unix.EAGAIN)
			return
		}
	}
}

// TestCrowded: who has no room left for callers is not met; and has room again when it
// has forgotten those that were there, which it does now and then.
func TestCrowded(t *testing.T) {
	name := rand.Text()
	was := shown.socket
	shown.socket = -1
	Show(name)
	defer func() {
		unix.Close(shown.socket)
		shown.socket = was
	}()
	for range 2 {
		crowd(t, name)
		ended, part := Meet(name)
		part()
		require.Nil(t, ended)
		require.Eventually(t, func() bool {
			Tidy()
			ended, part := Meet(name)
			part()
			return ended != nil
		}, locktest.Stuck, time.Millisecond)
	}
}

// TestOneName: a process has one name, and a name one process.
func TestOneName(t *testing.T) {
	child, name := startShown(t)
	_, err := listen(name)
	require.ErrorIs(t, err, unix.EADDRINUSE)
	child.Kill()
	own, err := listen(name)
	require.NoError(t, err)
	require.NoError(t, unix.Close(own))
}

func TestMachine(t *testing.T) {
	require.Len(t, Machine(), 16)
	require.Equal(t, Machine(), Machine())
}

func BenchmarkMeet(b *testing.B) {
	name := rand.Text()
	own, err := listen(name)
	require.NoError(b, err)
	defer unix.Close(own)
	for b.Loop() {
		ended, part := Meet(name)
		if ended == nil {
			b.Fatal("nobody is there")
		}
		part()
		forget(own)
	}
}
