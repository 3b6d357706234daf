//go:build linux

package filelock_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/ticket"
)

// views mounts one directory n times through FUSE, as n hosts would have it:
// each mount has caches and locks of its own, and is a device of its own.
func views(t *testing.T, n int, options ...string) (mounts []string) {
	t.Helper()
	mounts, err := tryViews(t, n, options...)
	if err != nil {
		t.Skipf("needs bindfs, and the right to mount: %v", err)
	}
	return mounts
}

func tryViews(t *testing.T, n int, options ...string) (mounts []string, err error) {
	t.Helper()
	bindfs, err := exec.LookPath("bindfs")
	if err != nil {
		return nil, err
	}
	source := t.TempDir()
	for range n {
		dir := t.TempDir()
		if out, err := exec.Command(bindfs, append(options, source, dir)...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		t.Cleanup(func() { unmount(dir) })
		mounts = append(mounts, dir)
	}
	return mounts, nil
}

// manyKernels returns a directory of a filesystem that may have several hosts,
// as far as anybody knows.
func manyKernels(t *testing.T) string {
	t.Helper()
	if mounts, err := tryViews(t, 1); err == nil {
		return mounts[0]
	}
	return mount(t, "hugetlbfs", "") // of a kind that nobody thought of
}

// plantEarlier makes a ticket as this machine's last boot left it, or as a
// clone of this machine made it: same hostname, other boot id.
func plantEarlier(t *testing.T, path string) string {
	t.Helper()
	return plant(t, path, func(n *ticket.Name) {
		n.PID = os.Getpid()
		n.PIDSpace = ticket.HashOf("another boot", "pid", "4026531836")
	})
}

// TestEarlierBoot: what a reboot left is removed, from disk and memory, once its
// locks were free for long enough: nobody asks which boot it is of.
func TestEarlierBoot(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "target")
		plantEarlier(t, path)
		q, err := filelock.Inspect(path)
		require.NoError(t, err)
		require.Len(t, q.Tickets, 1)
		t.Log(q.Tickets[0])
		require.Equal(t, filelock.Unknown, q.Tickets[0].State)
		began := time.Now()
		l := newLock(t, path)
		require.NoError(t, l.TryLock())
		t.Logf("it cost a try %v", time.Since(began))
		require.NoError(t, l.Unlock())
		requireNoTickets(t, dir)
	})
}

// TestEarlierBootOrClone: where another host may have made it, the same ticket
// stays, and the reason is there to see.
func TestEarlierBootOrClone(t *testing.T) {
	dir := manyKernels(t)
	path := filepath.Join(dir, "target")
	planted := plantEarlier(t, path)
	err := newLock(t, path).TryLock()
	t.Log(err)
	require.ErrorIs(t, err, filelock.ErrLocked)
	require.ErrorContains(t, err, "unknown: it is of another host or another pid namespace, and locks tell nothing here")
	reaped, err := filelock.Reap(path)
	require.NoError(t, err)
	require.Empty(t, reaped)
	require.FileExists(t, planted)
}

// TestHosts has holder and waiter on hosts of their own, as far as they can
// tell: other boot ids, other mounts of one directory, and locks that are
// silently each mount's own, so that the holder's witness seems free.
func TestHosts(t *testing.T) {
	t.Parallel()
	var all, leased []*standoff
	for name, hosts := range map[string][2]world{
		"clones with one hostname": {{Host: "clone", PIDs: true, Boot: anotherBoot(t)}, {Host: "clone", PIDs: true, Boot: anotherBoot(t)}},
		"two hosts":                {{Host: "web-1", Boot: anotherBoot(t)}, {Host: "web-2"}},
	} {
		requireWorld(t, hosts[:]...)
		mounts := views(t, 2)
		s := newStandoffAt(t, name, mounts[0], mounts[1], hosts[0], hosts[1])
		require.Contains(t, s.seen, "unknown: it is of another host or another pid namespace")
		all = append(all, s)

		// With a lease there is a proof across hosts.
		mounts = views(t, 2)
		hosts[0].Lease = 2 * time.Second
		s = newStandoffAt(t, name+", lease", mounts[0], mounts[1], hosts[0], hosts[1])
		leased = append(leased, s)
	}
	requireQuiet(t, append(all, leased...), liveness.Expiry(2*time.Second)+500*time.Millisecond)
	requireHandOver(t, all)

	began := time.Now()
	for _, s := range leased {
		require.NoError(t, s.holder.Cmd.Process.Kill())
	}
	for _, s := range leased {
		s.waiter.Expect("held")
		took := time.Since(began)
		t.Logf("%s of 2 s: taken over within %v of the kill", s.name, took.Round(time.Millisecond))
		require.Greater(t, took, liveness.Expiry(2*time.Second)*2/3-200*time.Millisecond, "the last renewal is no older than a third of the lease")
		require.Less(t, took, 4*time.Second)
		s.waiter.Go()
		s.waiter.Expect("released")
		requireNoTickets(t, filepath.Dir(s.path))
	}
}
