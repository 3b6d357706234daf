//go:build linux

package filelock_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

// plantedQueue makes a queue with one ticket of each kind, in an order of its
// own, and returns them in that order.
func plantedQueue(t *testing.T, path string) (files []string, want []filelock.Ticket) {
	t.Helper()
	host, err := os.Hostname()
	require.NoError(t, err)
	add := func(file string, w filelock.Ticket) {
		at := time.Now().Add(time.Duration(len(files)-60) * time.Minute).Truncate(time.Second)
		require.NoError(t, os.Chtimes(file, at, at))
		w.Path, w.Queued = file, at
		files, want = append(files, file), append(want, w)
	}
	own := identity()
	gone := plant(t, path, func(n *ticket.Name) { n.PID, n.Shared = unusedPID, true })
	add(gone, filelock.Ticket{Host: own.Host, PID: unusedPID, Shared: true, State: filelock.Dead, Reason: fmt.Sprintf("pid %d is gone", unusedPID)})

	runs := plant(t, path, func(n *ticket.Name) { n.Lease = time.Hour })
	holdWitness(t, runs)
	add(runs, filelock.Ticket{Host: own.Host, PID: own.PID, Lease: time.Hour, State: filelock.Alive, Reason: "waits: witness held"})

	container := plant(t, path, func(n *ticket.Name) { n.Host, n.PID, n.PIDSpace = "web", 1, ticket.HashOf("container") })
	add(container, filelock.Ticket{Host: "web", PID: 1, State: filelock.Unknown, Reason: "its witness is not held; it may be about to take it"})

	earlier := plantEarlier(t, path)
	add(earlier, filelock.Ticket{Host: own.Host, PID: own.PID, State: filelock.Unknown, Reason: "its witness is not held; it may be about to take it"})

	if own.InitialPIDs {
		plain := fmt.Sprintf("%s.lock.%s.%d.tok.pid", path, host, unusedPID)
		require.NoError(t, os.WriteFile(plain, nil, 0o666))
		add(plain, filelock.Ticket{Host: host, PID: unusedPID, Plain: true, State: filelock.Dead, Reason: fmt.Sprintf("a plain ticket, and pid %d of this host is gone", unusedPID)})
	}
	elsewhere := path + ".lock.far.example.org.7.tok.pid"
	require.NoError(t, os.WriteFile(elsewhere, nil, 0o666))
	add(elsewhere, filelock.Ticket{Host: "far.example.org", PID: 7, Plain: true, State: filelock.Unknown, Reason: "a plain ticket of another host, far.example.org"})
	return files, want
}

func TestInspect(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "target")
		q, err := filelock.Inspect(path)
		require.NoError(t, err)
		require.Equal(t, path, q.Path)
		require.Empty(t, q.Tickets)
		_, ok := q.Holder()
		require.False(t, ok)

		_, want := plantedQueue(t, path)
		q, err = filelock.Inspect(path)
		require.NoError(t, err)
		require.Len(t, q.Tickets, len(want))
		for i, got := range q.Tickets {
			t.Log(got)
			if got.PID == os.Getpid() && got.State == filelock.Alive {
				require.Contains(t, got.Command, os.Args[0])
				// A user whom no file of this system names is told by number.
				me := []string{strconv.Itoa(os.Getuid())}
				if u, err := user.Current(); err == nil {
					me = append(me, u.Username)
				}
				require.Contains(t, me, got.User)
			} else {
				require.Empty(t, got.Command)
				require.Empty(t, got.User)
			}
			requireTicket(t, want[i], got)
		}
		first, ok := q.Holder()
		require.True(t, ok)
		require.Equal(t, os.Getpid(), first.PID, "the dead do not hold")
		require.Len(t, tickets(t, dir), len(want), "it changes nothing")
	})
}

// TestHolder: who rests has given the lock back, and is as little a holder as the dead.
func TestHolder(t *testing.T) {
	const (
		unknown, alive, inside = filelock.Unknown, filelock.Alive, filelock.Inside
		resting, stalled, dead = filelock.Resting, filelock.Stalled, filelock.Dead
	)
	for name, tt := range map[string]struct {
		states []filelock.State
		shared []int // which of them are shared
		want   []int // the holders
	}{
		"empty":                     {},
		"inside":                    {states: []filelock.State{dead, alive, inside, alive}, want: []int{2}},
		"the first who is there":    {states: []filelock.State{dead, resting, alive, alive}, want: []int{2}},
		"nobody is known to live":   {states: []filelock.State{resting, unknown}, want: []int{1}},
		"stalled":                   {states: []filelock.State{stalled, alive}, want: []int{0}},
		"free, one rests":           {states: []filelock.State{resting}},
		"free, all rest or died":    {states: []filelock.State{dead, resting, dead}},
		"readers, where one rests":  {states: []filelock.State{alive, resting, alive, alive}, shared: []int{0, 1, 2}, want: []int{0, 2}},
		"readers inside":            {states: []filelock.State{inside, resting, inside, alive}, shared: []int{0, 1, 2}, want: []int{0, 2}},
		"a reader behind who rests": {states: []filelock.State{resting, alive, alive}, shared: []int{1}, want: []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			var q filelock.Queue
			for i, s := range tt.states {
				q.Tickets = append(q.Tickets, filelock.Ticket{PID: i, State: s, Shared: slices.Contains(tt.shared, i)})
			}
			var want []filelock.Ticket
			for _, i := range tt.want {
				want = append(want, q.Tickets[i])
			}
			require.Equal(t, want, q.Holders())
			holder, ok := q.Holder()
			require.Equal(t, len(want) > 0, ok)
			if ok {
				require.Equal(t, want[0], holder)
			}
		})
	}
}

// requireTicket compares what is not for display only.
func requireTicket(t *testing.T, want, got filelock.Ticket) {
	t.Helper()
	require.Equal(t, want.Path, got.Path)
	require.True(t, want.Queued.Equal(got.Queued), "queued %v, want %v", got.Queued, want.Queued)
	require.Equal(t,
		[]any{want.Host, want.PID, want.Shared, want.Lease, want.Plain, want.State.String()},
		[]any{got.Host, got.PID, got.Shared, got.Lease, got.Plain, got.State.String()})
	if want.Reason != "" { // it has a time in it otherwise
		require.Equal(t, want.Reason, got.Reason)
	}
	require.NotEmpty(t, got.Reason)
}

func TestInspectHolderAndWaiter(t *testing.T) {
	path := target(t)
	children := line(t, path, 2)
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	require.Len(t, q.Tickets, 2)
	for i, got := range q.Tickets {
		t.Logf("%s: %q of %s", got, got.Command, got.User)
		require.Equal(t, children[i].Pid(), got.PID)
		want := [...]filelock.State{filelock.Inside, filelock.Alive}[i]
		require.Equal(t, want, got.State)
		require.Equal(t, [...]string{"entry held", "waits: witness held"}[i], got.Reason)
		require.Contains(t, got.Command, filepath.Base(os.Args[0]))
		require.NotEmpty(t, got.User)
	}
}

// TestInspectNamesNoStranger: a ticket whose witness is held by somebody to
// whom the owner left it, while the owner's pid is another process's by now.
func TestInspectNamesNoStranger(t *testing.T) {
	stranger := locktest.Idler()
	require.NoError(t, stranger.Start())
	t.Cleanup(func() { stranger.Process.Kill(); stranger.Wait() })
	path := target(t)
	file := plant(t, path, func(n *ticket.Name) {
		n.PID, n.Start = stranger.Process.Pid, startOf(t, stranger.Process.Pid)-1
	})
	holdEntry(t, file)
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	require.Len(t, q.Tickets, 1)
	require.Equal(t, fmt.Sprintf("entry held by an heir; pid %d is gone", stranger.Process.Pid), q.Tickets[0].Reason)
	require.Empty(t, q.Tickets[0].Command)
	require.Empty(t, q.Tickets[0].User)
	require.Zero(t, q.Tickets[0].Heir)
}

// TestInspectNamesTheHeir: the owner is gone, and a process that inherited the
// lock from it lives. One that only waits has the ticket open, too.
func TestInspectNamesTheHeir(t *testing.T) {
	path := target(t)
	file := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
	reader, err := os.Open(file)
	require.NoError(t, err)
	writer, err := os.OpenFile(file, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.FcntlFlock(writer.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1}))
	start := func(f *os.File) int {
		cmd := locktest.Idler()
		cmd.Args = []string{"idler", "60"}
		cmd.ExtraFiles = []*os.File{f}
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		f.Close()
		return cmd.Process.Pid
	}
	start(reader)
	heir := start(writer)
	q, err := filelock.Inspect(path)
	require.NoError(t, err)
	require.Len(t, q.Tickets, 1)
	t.Log(q.Tickets[0])
	require.Equal(t, filelock.Inside, q.Tickets[0].State)
	require.Equal(t, heir, q.Tickets[0].Heir)
	require.Equal(t, "idler 60", q.Tickets[0].Command)
	require.Contains(t, q.Tickets[0].String(), fmt.Sprintf("the heir is pid %d", heir))
}

func TestReap(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "target")
		reaped, err := filelock.Reap(path)
		require.NoError(t, err)
		require.Empty(t, reaped)

		files, want := plantedQueue(t, path)
		core, logs := observer.New(zap.DebugLevel)
		began := time.Now()
		reaped, err = filelock.Reap(path, filelock.WithLogger(zap.New(core)))
		took := time.Since(began)
		require.NoError(t, err)
		t.Logf("reaped %d of %d in %v", len(reaped), len(files), took.Round(time.Millisecond))
		require.GreaterOrEqual(t, took, liveness.Grace, "a proof that takes time is waited for")
		require.Less(t, took, liveness.Grace+time.Second)

		// All the dead of the first look in order, then who needed two.
		var dead, late []filelock.Ticket
		for _, w := range want {
			switch {
			case w.State == filelock.Dead:
				dead = append(dead, w)
			case w.State == filelock.Unknown && !w.Plain:
				w.State, w.Reason = filelock.Dead, ""
				late = append(late, w)
			default:
				require.FileExists(t, w.Path, "%s", w)
			}
		}
		dead = append(dead, late...)
		require.Len(t, reaped, len(dead))
		for i, got := range reaped {
			requireTicket(t, dead[i], got)
			require.NoFileExists(t, got.Path)
		}
		require.Equal(t, len(dead), logs.FilterMessage("reclaim").FilterLevelExact(zapcore.WarnLevel).Len())

		// What is left takes no time, and is left again: it does not wait for
		// the lease, nor on what can never be known.
		reaped, err = filelock.Reap(path)
		require.NoError(t, err)
		require.Empty(t, reaped)
		require.Len(t, tickets(t, dir), len(want)-len(dead))
	})
}

// TestReapLeavesTheLiving: holders, waiters, and those that are stopped.
func TestReapLeavesTheLiving(t *testing.T) {
	path := target(t)
	children := line(t, path, 3)
	stop(t, children[1])
	reaped, err := filelock.Reap(path)
	require.NoError(t, err)
	require.Empty(t, reaped)
	require.Len(t, tickets(t, filepath.Dir(path)), 3)
	proceed(t, children[1])
	for i, c := range children {
		if i > 0 {
			c.Expect("held")
		}
		c.Go()
		c.Expect("released")
	}
}

// TestReapCannotRemove: what is dead and may not be removed is an error that
// names it; the rest is reaped all the same.
func TestReapCannotRemove(t *testing.T) {
	path := target(t)
	immutable := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
	mortal := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
	if err := exec.Command("chattr", "+i", immutable).Run(); err != nil {
		t.Skipf("needs chattr, and the right to make a file immutable: %v", err)
	}
	t.Cleanup(func() { exec.Command("chattr", "-i", immutable).Run() })
	reaped, err := filelock.Reap(path)
	t.Log(err)
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, filepath.Base(immutable))
	require.Len(t, reaped, 1)
	require.Equal(t, filepath.Base(mortal), filepath.Base(reaped[0].Path))
	require.FileExists(t, immutable)

	l := newLock(t, path)
	require.NoError(t, l.TryLock(), "it is passed by")
	require.NoError(t, l.Unlock())
}

func TestInspectAndReapRefuse(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "target")
	_, err := filelock.Inspect(missing)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "inspect")
	_, err = filelock.Reap(missing)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "reap")
	_, err = filelock.Inspect("")
	require.ErrorIs(t, err, filelock.ErrInvalid)
	_, err = filelock.Reap("")
	require.ErrorIs(t, err, filelock.ErrInvalid)
}
