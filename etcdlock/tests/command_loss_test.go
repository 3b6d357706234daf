//go:build linux || darwin

package tests

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/filelock-go/filelock/etcdlock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// commandLease is long enough for busy machines, and short enough for tests.
const commandLease = 4

func at(endpoint, name string) string {
	return fmt.Sprintf("etcd://%s/%s?lease=%ds", endpoint, name, commandLease)
}

// queued waits until so many are in the queues of the cluster, and queuedFor in that of
// a name.
func queued(t testing.TB, client *clientv3.Client, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return keys(t, client) == n }, locktest.Stuck, 5*time.Millisecond)
}

func queuedFor(t testing.TB, client *clientv3.Client, name string, n int64) {
	t.Helper()
	prefix := etcdlock.DefaultRoot + "/" + strings.ReplaceAll(name, "/", "%2F") + "/"
	require.Eventually(t, func() bool {
		answer, err := client.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		return err == nil && answer.Count == n
	}, locktest.Stuck, 5*time.Millisecond)
}

// TestCommandCut: a command whose filelock is cut off from etcd is ended, with all that
// it has started, before the next one starts: by TERM, or KILL if it does not heed that.
func TestCommandCut(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	t.Run("all", func(t *testing.T) {
		for name, how := range map[string][]string{
			"heeds TERM":               {"until", "never"},
			"deaf":                     {"deaf", "until", "never"},
			"leaves a child":           {"child", "until", "never"},
			"deaf, with a child":       {"deaf", "child", "until", "never"},
			"ends by itself, too late": {"deaf", "until", "first.term"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s, lock := newShell(t), newName(nil)
				p := newProxy(t, c.endpoint(0))
				first := s.start(append([]string{"run", at(p.address(), lock), "work", s.dir, "first"}, how...)...)
				s.has("first")
				next := s.start("run", at(c.endpoint(0), lock), "work", s.dir, "next")
				queuedFor(t, client, lock, 2)
				p.cut(true)
				cut := time.Now()
				s.idle()
				took := time.Since(cut)
				next.ends(0)
				t.Logf("all was gone %v after the cut, the next has run after %v (lease: %d s)", took, time.Since(cut), commandLease)
				first.ends(68)
				require.Contains(t, first.err.String(), "the lock was lost while the command ran")
				require.Less(t, took, commandLease*time.Second+5*time.Second)
				names, tokens := s.ran()
				require.Equal(t, []string{"first", "next"}, names)
				require.Less(t, tokens[0], tokens[1])
				p.cut(false)
			})
		}
	})
	queued(t, client, 0)
}

// TestCommandKilled: a command whose filelock is killed ends, with all that it has
// started, before the next one starts.
func TestCommandKilled(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	for name, how := range map[string][]string{"alone": {"deaf", "until", "never"}, "with a child": {"deaf", "child", "until", "never"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, lock := newShell(t), newName(nil)
			first := s.start(append([]string{"run", at(c.endpoint(0), lock), "work", s.dir, "first"}, how...)...)
			s.has("first")
			next := s.start("run", at(c.endpoint(0), lock), "work", s.dir, "next")
			queuedFor(t, client, lock, 2)
			require.NoError(t, first.cmd.Process.Kill())
			killed := time.Now()
			s.idle()
			took := time.Since(killed)
			first.ends(-int(syscall.SIGKILL))
			next.ends(0)
			followed := time.Since(killed)
			t.Logf("all was gone after %v; the next has run after %v (lease: %d s)", took, followed, commandLease)
			assert.Less(t, took, time.Second)
			// The lease has been renewed within a third of its length.
			assert.Greater(t, followed, commandLease*time.Second/2, "it is the lease that keeps the next one out, not luck")
			names, _ := s.ran()
			require.Equal(t, []string{"first", "next"}, names)
		})
	}
}

// TestCommandStopped: a command whose filelock alone is stopped ends before the next one
// starts.
func TestCommandStopped(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	s, lock := newShell(t), newName(nil)
	first := s.start("run", at(c.endpoint(0), lock), "work", s.dir, "first", "deaf", "child", "until", "never")
	s.has("first")
	next := s.start("run", at(c.endpoint(0), lock), "work", s.dir, "next")
	queued(t, client, 2)
	// It is renewed all the time: the guard is told so.
	stillRuns := time.After(commandLease * time.Second * 3 / 2)
	select {
	case err := <-first.ended:
		require.Fail(t, "it has ended", "%v: %s", err, first.err.String())
	case <-stillRuns:
	}
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGSTOP))
	stopped := time.Now()
	s.idle()
	took := time.Since(stopped)
	next.ends(0)
	t.Logf("all was gone after %v; the next has run after %v (lease: %d s)", took, time.Since(stopped), commandLease)
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGCONT))
	first.ends(68)
	names, _ := s.ran()
	require.Equal(t, []string{"first", "next"}, names)
}

// TestCommandSuspended: a command whose filelock did not run for longer than its lease
// gets no time to end: another one may run already.
func TestCommandSuspended(t *testing.T) {
	c := startCluster(t, 1)
	s, lock := newShell(t), newName(nil)
	first := s.start("run", at(c.endpoint(0), lock), "work", s.dir, "first", "deaf", "until", "never")
	pid, err := strconv.Atoi(s.has("first"))
	require.NoError(t, err)
	// As of a frozen container: all of it stands still.
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGSTOP))
	s2 := newShell(t)
	s2.run(0, "run", at(c.endpoint(0), lock), "work", s2.dir, "next")
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGCONT))
	went := time.Now()
	first.ends(68)
	s.idle()
	t.Logf("ended %v after it went on", time.Since(went))
	require.Less(t, time.Since(went), time.Second)
}

// TestCommandElection: with the lease that a URL has by default, a command does not notice
// that the leader of three members is killed, nor does who waits.
func TestCommandElection(t *testing.T) {
	c := startCluster(t, 3)
	client := newClient(t, c.endpoints()...)
	s := newShell(t)
	url := fmt.Sprintf("etcd://%s/%s", strings.Join(c.endpoints(), ","), newName(nil))
	first := s.start("run", url, "work", s.dir, "first", "until", "end")
	s.has("first")
	waiter := s.start("run", url, "work", s.dir, "waiter")
	queued(t, client, 2)
	leader := c.leader()
	c.members[leader].Kill()
	// Others have elected one of them when they answer again.
	c.begin(leader)
	c.ready(leader)
	killed := time.Now()
	s.run(75, "run", "-w", "11", url, "work", s.dir, "no") // longer than the lease bears silence
	require.Greater(t, time.Since(killed), 10*time.Second)
	s.touch("end")
	first.ends(0)
	waiter.ends(0)
	names, _ := s.ran()
	require.Equal(t, []string{"first", "waiter"}, names)
}

// TestCommandServerGone: when there is no etcd any more, commands end, and so do waits;
// when it is there again, all goes on.
func TestCommandServerGone(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	s, lock := newShell(t), newName(nil)
	url := at(c.endpoint(0), lock)
	first := s.start("run", url, "work", s.dir, "first", "until", "never")
	s.has("first")
	waiter := s.start("run", url, "work", s.dir, "waiter")
	queued(t, client, 2)
	c.members[0].Kill()
	killed := time.Now()
	first.ends(68)
	took := time.Since(killed)
	waiter.ends(71)
	t.Logf("the command has ended after %v, the wait after %v: %s", took, time.Since(killed), waiter.err.String())
	require.Less(t, time.Since(killed), commandLease*time.Second+2*time.Second)
	require.Contains(t, waiter.err.String(), "does not answer")
	c.begin(0)
	c.ready(0)
	s.run(0, "run", url, "work", s.dir, "next")
}

// TestCommandUnconfirmed: the command has ended well, and etcd cannot be told.
func TestCommandUnconfirmed(t *testing.T) {
	c := startCluster(t, 1)
	s := newShell(t)
	for code, want := range map[string]int{"0": 71, "3": 3} {
		p := newProxy(t, c.endpoint(0))
		name := "end" + code
		first := s.start("run", at(p.address(), newName(nil)), "work", s.dir, "first"+code, "until", name, "code", code)
		s.has("first" + code)
		p.cut(true)
		s.touch(name)
		cut := time.Now()
		first.ends(want)
		t.Logf("%d after %v: %s", want, time.Since(cut), first.err.String())
		require.Contains(t, first.err.String(), "is not known; it ends with its lease, at the latest")
		require.Less(t, time.Since(cut), commandLease*time.Second+time.Second)
		p.cut(false)
	}
}

// TestCommandEvicted: an operator takes the lock away: from who waits, who starts
// anew or fails, and from who holds it, whose command is told.
func TestCommandEvicted(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	s, lock := newShell(t), newName(nil)
	url := at(c.endpoint(0), lock)
	first := s.start("run", url, "work", s.dir, "first", "until", "never")
	s.has("first")
	second := s.start("run", url, "work", s.dir, "second", "until", "end")
	queued(t, client, 2)
	third := s.start("run", url, "work", s.dir, "third")
	queued(t, client, 3)

	tickets := ticketsOf(t, s, url)
	require.Len(t, tickets, 3)
	s.run(64, "reap", "--force", tickets[2].Path, url)
	s.run(66, "reap", "--force", "nobody", "--yes", url)
	out, _ := s.run(0, "reap", "--force", filepath.Base(tickets[2].Path), "--yes", url)
	require.Contains(t, out, fmt.Sprint(third.cmd.Process.Pid))
	third.ends(71)
	require.Contains(t, third.err.String(), "lost")
	s.run(0, "reap", url)
	_, told := s.run(0, "reap", "--dry-run", "--force", tickets[0].Path, url)
	require.Contains(t, told, "holds the lock")
	queued(t, client, 2)

	began := time.Now()
	s.run(0, "reap", "--force", tickets[0].Path, "--yes", url)
	first.ends(68)
	t.Logf("ended %v after reap was started", time.Since(began))
	s.touch("end")
	second.code() // in between it ran beside the first, or not: that was the operator's word
	s.run(66, "reap", "--force", tickets[0].Path, "--yes", url)
	queued(t, client, 0)
}
