package wake

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("bell", bellChild)
}

// bellChild hangs a bell, and does not live to ring it.
func bellChild(args []string) error {
	if Hang(args[0]) == nil {
		return fmt.Errorf("no bell")
	}
	locktest.Say("hangs")
	locktest.Gate()
	return nil
}

// bellName is a name that no other test, and no other run, uses.
func bellName(t testing.TB) string { return fmt.Sprintf("%s-%d", t.Name(), os.Getpid()) }

// listens returns a waiter that has found the bell.
func listens(t testing.TB, name string, pid int) *Waiter {
	t.Helper()
	w := Later("/nowhere", never, true)
	t.Cleanup(w.Stop)
	require.True(t, w.Blind())
	require.True(t, w.Listen(name, pid))
	require.False(t, w.Blind())
	return w
}

func TestBell(t *testing.T) {
	name := bellName(t)
	bell := Hang(name)
	require.NotNil(t, bell)
	var ws []*Waiter
	for range 3 {
		ws = append(ws, listens(t, name, os.Getpid()))
	}
	for _, w := range ws {
		mustNotFire(t, w)
	}
	ws[2].Stop()
	bell.Ring()
	mustFire(t, ws[0])
	mustFire(t, ws[1])
	require.NoError(t, locktest.Goroutines())
}

// TestBellRangBefore: a bell that rings before anybody waits is heard.
func TestBellRangBefore(t *testing.T) {
	name := bellName(t)
	bell := Hang(name)
	w := listens(t, name, os.Getpid())
	bell.Ring()
	mustFire(t, w)
}

// TestBellWithCopies: a child that was forked and goes on without exec has a
// copy of every descriptor.
func TestBellWithCopies(t *testing.T) {
	name := bellName(t)
	bell := Hang(name)
	fd, err := unix.FcntlInt(uintptr(bell.fd), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	a, b := listens(t, name, os.Getpid()), listens(t, name, os.Getpid())
	bell.Ring()
	mustFire(t, a)
	mustFire(t, b)
}

// TestBellOfKilled: the kernel rings for those who cannot.
func TestBellOfKilled(t *testing.T) {
	name := bellName(t)
	child := locktest.Start(t, "bell", name)
	child.Expect("hangs")
	w := listens(t, name, child.Cmd.Process.Pid)
	mustNotFire(t, w)
	require.NoError(t, child.Cmd.Process.Kill())
	mustFire(t, w)
	child.Wait()
}

func TestNoBell(t *testing.T) {
	name := bellName(t)
	bell := Hang(name)
	require.NotNil(t, bell)
	assert.Nil(t, Hang(name), "one of a name")
	assert.Nil(t, Hang(strings.Repeat("n", 200)), "too long a name")
	w := Later("/nowhere", never, true)
	before := descriptors(t)
	assert.False(t, w.Listen(name, os.Getpid()+1), "it must be the owner's own")
	assert.False(t, w.Listen("", os.Getpid()))
	bell.Ring()
	assert.False(t, w.Listen(name, os.Getpid()), "it is gone")
	assert.Equal(t, before-1, descriptors(t), "of the bell itself")
	assert.True(t, w.Blind())
	(*Bell)(nil).Ring()
}

// TestBellAndContext: whoever listens returns when the context is done, and as
// one whom the kernel tells looks again but seldom.
func TestBellAndContext(t *testing.T) {
	name := bellName(t)
	bell := Hang(name)
	defer bell.Ring()
	w := listens(t, name, os.Getpid())
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	require.ErrorIs(t, w.Wait(ctx, false), context.Canceled)
	w.Stop()

	w = Later("/nowhere", time.Millisecond, true)
	defer w.Stop()
	require.True(t, w.Listen(name, os.Getpid()))
	began := time.Now()
	require.NoError(t, w.Wait(context.Background(), false))
	assert.GreaterOrEqual(t, time.Since(began), relaxed*3*time.Millisecond/4)
	require.NotNil(t, w.watch, "it did not ring")
	for range 5 { // nobody tells of a ticket that somebody else removed
		within(t, relaxed*time.Millisecond, w.pause(false))
	}
}
