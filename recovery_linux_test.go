package filelock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

func init() {
	worldMains["find"] = worldFind
	worldMains["rebooted"] = worldRebooted
	worldMains["machine"] = worldMachine
	locktest.Register("short of descriptors", shortOfDescriptorsChild)
	locktest.Register("blind waiter", blindWaiterChild)
	locktest.Register("re-executed", reexecutedChild)
	locktest.Register("executed", executedChild)
	locktest.Register("image of its own", imageChild)
}

// deviceOf returns the device number of what is at path.
func deviceOf(path string) (uint64, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st.Dev, err
}

// worldFind says what it finds in the queue and on which device, and takes the
// lock.
func worldFind(w world, args []string) error {
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	files, err1 := filepath.Glob(args[0] + ".lock.*")
	device, err2 := deviceOf(filepath.Dir(args[0]))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	locktest.Say("%d tickets on device %d", len(files), device)
	return holdUntilTold(l)
}

// requireFound has a child in w come to what a killed one left, and returns the
// device number that it saw.
func requireFound(t *testing.T, name string, w world, path string) (device uint64) {
	t.Helper()
	began := time.Now()
	next := inWorld(t, w, "find", path)
	var found int
	_, err := fmt.Sscanf(next.Line(), "%d tickets on device %d", &found, &device)
	require.NoError(t, err)
	require.Equal(t, 1, found, "the killed one's ticket")
	next.Expect("held")
	took := time.Since(began)
	t.Logf("%s: the next one, on device %d, had the lock %v after its start", name, device, took.Round(time.Millisecond))
	require.Less(t, took, recovery)
	next.Go()
	next.Expect("released")
	next.Done()
	return device
}

// TestRestartedLayer: a container is killed while it holds a lock in its own
// writable layer, and started again: the same layer, in another mount, and
// another pid namespace.
func TestRestartedLayer(t *testing.T) {
	t.Parallel()
	w := world{Host: "web", PIDs: true, Mounts: []mounted{layer(t)}}
	requireWorld(t, w)
	path := filepath.Join(w.Mounts[0].Dir, "target")
	first := inWorld(t, w, "find", path)
	t.Logf("the first: %s", first.Line())
	first.Expect("held")
	first.Kill()
	requireFound(t, "layer", w, path)
}

// layer is an overlay, as containers have it.
func layer(t *testing.T) mounted {
	above := t.TempDir()
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		require.NoError(t, os.Mkdir(filepath.Join(above, name), 0o777))
	}
	return mounted{Type: "overlay", Source: "overlay", Dir: filepath.Join(above, "merged"),
		Options: fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", above)}
}

// volumes are the filesystems that are made in a file, and how big it must be.
var volumes = map[string]int64{
	"ext2": 8 << 20, "ext3": 16 << 20, "ext4": 16 << 20, "xfs": 320 << 20, "btrfs": 128 << 20, "vfat": 8 << 20,
	"exfat": 8 << 20, "f2fs": 64 << 20, "jfs": 32 << 20, "nilfs2": 160 << 20,
}

// volume makes a filesystem in a file, which a world may mount.
func volume(t *testing.T, fstype string) (m mounted, err error) {
	t.Helper()
	name := "mkfs." + fstype
	mkfs, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} { // not in everybody's PATH
		if err != nil {
			mkfs, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	if err != nil {
		return m, err
	}
	above := t.TempDir()
	image := filepath.Join(above, "image")
	file, err := os.Create(image)
	require.NoError(t, err)
	require.NoError(t, errors.Join(file.Truncate(volumes[fstype]), file.Close()))
	if out, err := exec.Command(mkfs, image).CombinedOutput(); err != nil {
		return m, fmt.Errorf("%s: %w: %s", name, err, out)
	}
	m = mounted{Type: fstype, Source: image, Dir: filepath.Join(above, "mounted"), Image: true}
	return m, os.Mkdir(m.Dir, 0o777)
}

// imageChild keeps a loop device for the time of its life.
func imageChild(args []string) error {
	if err := (mounted{Type: args[0], Source: args[1], Dir: args[2], Image: true}).mount(); err != nil {
		return err
	}
	locktest.Say("mounted")
	locktest.Gate()
	return nil
}

// attached reports whether a loop device has the image.
func attached(t *testing.T, image string) bool {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	require.NoError(t, err)
	return slices.ContainsFunc(files, func(file string) bool {
		backing, err := os.ReadFile(file)
		return err == nil && strings.TrimSpace(string(backing)) == image
	})
}

// TestReattachedVolume: a machine is killed and its volume attached to another
// one, where it is another device.
func TestReattachedVolume(t *testing.T) {
	t.Parallel()
	for _, fstype := range []string{"ext4", "xfs"} {
		t.Run(fstype, func(t *testing.T) {
			m, err := volume(t, fstype)
			if err != nil {
				t.Skip(err)
			}
			w := world{PIDs: true, Mounts: []mounted{m}}
			requireWorld(t, w)
			path := filepath.Join(m.Dir, "target")
			detached := func() bool { return !attached(t, m.Source) }
			// As long as it comes to the same device again, something else takes that.
			for range 8 {
				eventually(t, "the detaching", detached)
				first := inWorld(t, w, "find", path)
				var before uint64
				_, err := fmt.Sscanf(first.Line(), "0 tickets on device %d", &before)
				require.NoError(t, err)
				first.Expect("held")
				first.Kill()
				eventually(t, "the detaching", detached)
				occupy(t)
				if after := requireFound(t, fstype, w, path); after != before {
					return
				}
			}
			t.Skip("it is the same device each time")
		})
	}
}

// occupy takes a loop device for the rest of the test.
func occupy(t *testing.T) {
	t.Helper()
	other, err := volume(t, "ext4")
	if err != nil {
		t.Skip(err)
	}
	env, path := locktest.Command(t, "image of its own", other.Type, other.Source, other.Dir)
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	locktest.StartCmd(t, cmd).Expect("mounted")
}

// TestNoProc: services may have a /proc without the boot id (ProcSubset=pid), or
// none (chroot). Then only locks tell who lives.
func TestNoProc(t *testing.T) {
	t.Parallel()
	parts := map[string]world{"whole": {}, "subset": {Proc: "subset=pid"}, "no": {Proc: "none"}}
	for _, w := range parts {
		requireWorld(t, w)
	}
	var all []*standoff
	for holder, w := range parts {
		for waiter, v := range parts {
			if w.Proc != "" || v.Proc != "" {
				s := newStandoff(t, holder+" /proc, the waiter "+waiter, t.TempDir(), w, v)
				require.Contains(t, s.seen, "inside: entry held")
				all = append(all, s)
			}
		}
	}
	requireQuiet(t, all)
	requireRecovery(t, all)
}

// exhaust uses up this process's descriptors but for so many, until release.
func exhaust(spare int) (release func()) {
	var before, limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before)
	limit = before
	limit.Cur = 128
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	var fds []int
	for {
		fd, err := syscall.Open("/dev/null", syscall.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		fds = append(fds, fd)
	}
	for _, fd := range fds[len(fds)-spare:] {
		syscall.Close(fd)
	}
	return func() {
		for _, fd := range fds[:len(fds)-spare] {
			syscall.Close(fd)
		}
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)
	}
}

// shortOfDescriptorsChild has so many descriptors at its first acquisition, and
// enough at the second.
func shortOfDescriptorsChild(args []string) error {
	runtime.LockOSThread()
	var spare int
	if _, err := fmt.Sscan(args[1], &spare); err != nil {
		return err
	}
	l, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	release := exhaust(spare)
	err = l.Acquire(context.Background())
	release()
	locktest.Say("EMFILE %v: %v", errors.Is(err, syscall.EMFILE), err)
	if err == nil {
		if err := l.Unlock(); err != nil {
			return err
		}
	}
	return holdUntilTold(l)
}

// TestFirstWithoutDescriptors: a process that cannot read who it is when it
// acquires first finds it out later. Otherwise it would be a stranger to all,
// and where locks do not tell, its tickets would block for ever.
func TestFirstWithoutDescriptors(t *testing.T) {
	t.Parallel()
	for spare := range 5 {
		path := target(t)
		c := locktest.Start(t, "short of descriptors", path, spare)
		first := c.Line()
		c.Expect("held")
		files := tickets(t, filepath.Dir(path))
		require.Len(t, files, 1)
		name, ok := ticket.Parse(ticket.Prefix(filepath.Base(path)), files[0])
		require.True(t, ok)
		self := identity()
		require.Equal(t, self.PIDSpace, name.PIDSpace)
		require.Equal(t, c.Pid(), name.PID)
		require.Equal(t, startOf(t, c.Pid()), name.Start)
		require.NotZero(t, name.Place)
		c.Kill()
		began := time.Now()
		l := newLock(t, path)
		acquire(t, l)
		t.Logf("%d descriptors at the first acquisition: %s; killed at the second, recovered within %v", spare, first, time.Since(began).Round(time.Microsecond))
		if spare == 0 {
			require.Contains(t, first, "EMFILE true", "it is no error of others'")
		}
		require.Less(t, time.Since(began), recovery)
		require.NoError(t, l.Unlock())
		requireNoTickets(t, filepath.Dir(path))
	}
}

// blindWaiterChild waits, and has no descriptors for a while.
func blindWaiterChild(args []string) error {
	l, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	acquired := make(chan error, 1)
	go func() { acquired <- l.Acquire(context.Background()) }()
	locktest.Gate()
	release := exhaust(0)
	locktest.Say("exhausted")
	locktest.Gate()
	release()
	began := time.Now()
	if err := <-acquired; err != nil {
		return err
	}
	locktest.Say("%d", time.Since(began).Milliseconds())
	return l.Unlock()
}

// TestDeathUnseen: the kernel tells of the holder's end once, and just then the
// waiter has no descriptor to look with. It looks again, without being told.
func TestDeathUnseen(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"was killed", "left"} {
		path := target(t)
		holder := locktest.Start(t, "hold", path)
		holder.Expect("held")
		between := locktest.Start(t, "hold", path)
		settled(t, path, 2)
		waiter := locktest.Start(t, "blind waiter", path)
		settled(t, path, 3)
		waiter.Go()
		waiter.Expect("exhausted")
		// The ticket that it watches it has open, but not the holder's.
		between.Kill()
		time.Sleep(2 * mustBlock)
		if how == "left" {
			holder.Go()
			holder.Expect("released")
		} else {
			holder.Kill()
		}
		time.Sleep(500 * time.Millisecond)
		waiter.Go()
		var took int64
		_, err := fmt.Sscan(waiter.Line(), &took)
		require.NoError(t, err)
		t.Logf("the holder %s while the waiter had no descriptors: served %d ms after they came back", how, took)
		require.Less(t, took, int64(1000))
		waiter.Done()
		requireNoTickets(t, filepath.Dir(path))
	}
}

// reexecutedChild takes the lock and becomes another program, as a service does
// that replaces itself. The new one knows nothing of the lock; but it may have
// been handed the witness.
func reexecutedChild(args []string) error {
	l, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	if args[1] == "handed on" {
		witness, err := l.Witness()
		if err != nil {
			return err
		}
		if _, err := unix.FcntlInt(witness.Fd(), unix.F_SETFD, 0); err != nil {
			return err
		}
		defer runtime.KeepAlive(witness)
	}
	locktest.Say("held")
	locktest.Gate()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Setenv(locktest.ChildEnv, `["executed"]`); err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, os.Environ())
}

// executedChild is what it becomes.
func executedChild([]string) error {
	locktest.Say("executed")
	locktest.Gate()
	return nil
}

// TestReexecuted: the process goes on, with the same pid and the same start.
// The lock stays taken only if its witness was handed on.
func TestReexecuted(t *testing.T) {
	t.Parallel()
	executed := func(witness string) (holder *locktest.Child, entered <-chan error, path string) {
		path = target(t)
		holder = locktest.Start(t, "re-executed", path, witness)
		holder.Expect("held")
		l := newLock(t, path)
		entered = start(func() error { return l.Do(context.Background(), func(context.Context) error { return nil }) })
		settled(t, path, 2)
		requireBlocks(t, entered)
		holder.Go()
		holder.Expect("executed")
		return holder, entered, path
	}
	holder, entered, path := executed("handed on")

	began := time.Now()
	other, free, freed := executed("closed")
	require.NoError(t, result(t, free))
	t.Logf("re-executed, the witness closed: the lock was free %v after it", time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), recovery)
	require.NoError(t, unix.Kill(other.Pid(), 0), "it still runs")
	requireNoTickets(t, filepath.Dir(freed))

	time.Sleep(max(0, quiet()-time.Since(began)))
	requireBlocks(t, entered)
	err := newLock(t, path).TryLock()
	t.Log(err)
	require.ErrorIs(t, err, filelock.ErrLocked)
	holder.Kill()
	began = time.Now()
	require.NoError(t, result(t, entered))
	t.Logf("re-executed, the witness handed on: nobody entered for %v; killed, the lock was free after %v", quiet(), time.Since(began).Round(time.Millisecond))
	require.Less(t, time.Since(began), recovery)
	requireNoTickets(t, filepath.Dir(path))
}

// copyAll copies a directory as cp -a does: its files keep their times.
func copyAll(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	files, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, file := range files {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(filepath.Join(from, file.Name()), &st))
		times := []unix.Timespec{st.Atim, st.Mtim}
		require.NoError(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(to, file.Name()), times, 0))
	}
}

// TestCopiedDirectory: the copy of a held lock's directory has its ticket, by
// its name that of a living process. Nobody holds the copy, which is free as
// soon as that is proven; and the original stays held.
func TestCopiedDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "original")
	require.NoError(t, os.Mkdir(dir, 0o777))
	path := filepath.Join(dir, "target")
	holder := locktest.Start(t, "hold", path)
	holder.Expect("held")
	waiter := locktest.Start(t, "hold", path)
	settled(t, path, 2)
	type copied struct {
		name, path string
		entered    <-chan error
	}
	var all []copied
	began := time.Now()
	for name, above := range directories(t) {
		to := filepath.Join(above, "copy")
		copyAll(t, dir, to)
		require.Equal(t, tickets(t, dir), tickets(t, to))
		c := copied{name: name, path: filepath.Join(to, "target")}
		l := newLock(t, c.path)
		c.entered = start(func() error { return l.Do(context.Background(), func(context.Context) error { return nil }) })
		all = append(all, c)
	}
	for _, c := range all {
		require.NoError(t, result(t, c.entered))
		took := time.Since(began)
		t.Logf("the copy in a directory on %s was free within %v", c.name, took.Round(time.Millisecond))
		require.Less(t, took, recovery)
		requireNoTickets(t, filepath.Dir(c.path))
	}
	require.ErrorIs(t, newLock(t, path).TryLock(), filelock.ErrLocked)
	require.True(t, waiter.Silent(mustBlock))
	holder.Go()
	holder.Expect("released")
	waiter.Expect("held")
	waiter.Go()
	waiter.Expect("released")
	requireNoTickets(t, dir)
}

// worldRebooted plants what machines that are no more have left, and passes it.
func worldRebooted(w world, args []string) error {
	for _, left := range []func(*ticket.Name){
		func(n *ticket.Name) { n.PIDSpace = ticket.HashOf("another boot", "pid", "4026531836") }, // this pid, this start
		func(n *ticket.Name) { n.PIDSpace, n.Host = ticket.HashOf("another boot"), "elsewhere" },
		func(n *ticket.Name) { n.PIDSpace, n.Start = 0, 0 }, // it could not read its own
		func(n *ticket.Name) { n.PID = unusedPID },
	} {
		if _, err := plantTicket(args[0], left); err != nil {
			return err
		}
	}
	l, err := w.lock(args[0])
	if err != nil {
		return err
	}
	began := time.Now()
	if err := l.Acquire(context.Background()); err != nil {
		return err
	}
	took := time.Since(began)
	files, err := filepath.Glob(args[0] + ".lock.*")
	locktest.Say("%d tickets: %v", len(files), took)
	return errors.Join(err, l.Unlock())
}

// TestReboot: what is left of an earlier boot is removed on every filesystem
// that one kernel alone mounts.
func TestReboot(t *testing.T) {
	t.Parallel()
	all := map[string]mounted{"overlay": layer(t)}
	for _, fstype := range []string{"tmpfs", "ramfs"} {
		all[fstype] = mounted{Type: fstype, Source: "none", Dir: t.TempDir()}
	}
	for fstype := range volumes {
		if m, err := volume(t, fstype); err != nil {
			t.Logf("%s: left out: %v", fstype, err)
		} else {
			all[fstype] = m
		}
	}
	children := map[string]*locktest.Child{}
	for fstype, m := range all {
		w := world{Mounts: []mounted{m}}
		if out, err := worldCommand(t, w, "nothing").CombinedOutput(); err != nil {
			t.Logf("%s: left out: %v %s", fstype, err, out)
			continue
		}
		children[fstype] = inWorld(t, w, "rebooted", filepath.Join(m.Dir, "target"))
	}
	if len(children) == 0 {
		t.Skip("nothing can be mounted here")
	}
	for _, fstype := range slices.Sorted(maps.Keys(children)) {
		var n int
		var took string
		_, err := fmt.Sscanf(children[fstype].Line(), "%d tickets: %s", &n, &took)
		require.NoError(t, err)
		t.Logf("%s: 4 tickets of the dead were passed within %s", fstype, took)
		require.Equal(t, 1, n, "the own one is left")
		d, err := time.ParseDuration(took)
		require.NoError(t, err)
		require.Less(t, d, recovery, fstype)
		children[fstype].Done()
	}
}

// worldMachine is a host: it has a process of its own queue and killed, and
// then comes itself.
func worldMachine(w world, args []string) error {
	path, env, queued := args[0], args[1], args[2]
	self, err := os.Executable()
	if err != nil {
		return err
	}
	victim := exec.Command(self)
	victim.Env = append(os.Environ(), env)
	in, err1 := victim.StdinPipe() // which ends with us
	out, err2 := victim.StdoutPipe()
	if err := errors.Join(err1, err2, victim.Start()); err != nil {
		return err
	}
	defer in.Close()
	if queued == "1" { // the lock is free
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
			return fmt.Errorf("the victim said %q: %v", line, err)
		}
	}
	for found := ""; found != queued; time.Sleep(time.Millisecond) {
		files, err := filepath.Glob(path + ".lock.*")
		if err != nil {
			return err
		}
		found = fmt.Sprint(len(files))
	}
	locktest.Say("queued")
	locktest.Gate()
	victim.Process.Kill()
	io.Copy(io.Discard, out)
	victim.Wait()
	locktest.Say("killed")
	locktest.Gate()
	return worldHold(w, []string{path})
}

// TestDeadOfTwoHosts: on a filesystem of many kernels a host can tell only of its
// own dead. Two of them stand ahead, one of each host's, and of two who wait,
// each has the other host's before it. Both get past, since each removes its own
// host's wherever it stands.
func TestDeadOfTwoHosts(t *testing.T) {
	t.Parallel()
	hosts := []world{{Host: "web-1", PIDs: true}, {Host: "web-2", PIDs: true}}
	requireWorld(t, hosts[0])
	dir := views(t, 1)[0]
	path := filepath.Join(dir, "target")
	env, _ := locktest.Command(t, "hold", path)
	var children []*locktest.Child
	for i, w := range hosts {
		c := inWorld(t, w, "machine", path, env, i+1)
		c.Expect("queued")
		children = append(children, c)
	}
	for _, c := range children {
		c.Go()
		c.Expect("killed")
	}
	require.Len(t, tickets(t, dir), len(hosts))
	began := time.Now()
	for _, c := range children {
		c.Go()
	}
	for range hosts {
		i := nextHolder(t, children)
		t.Logf("one of them had the lock %v after they came", time.Since(began).Round(time.Millisecond))
		children[i].Go()
		children[i].Expect("released")
		children[i].Done()
		children = slices.Delete(children, i, i+1)
	}
	require.Less(t, time.Since(began), 2*recovery)
	requireNoTickets(t, dir)
}
