//go:build linux || darwin

package tests

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// statusTicket is what these tests read of "filelock status --json".
type statusTicket struct {
	Position int
	Phase    string
	Kind     string
	Host     string
	PID      int
	Label    string
	Reason   string
	Lease    string
	Path     string
}

func ticketsOf(t *testing.T, s *shell, url string) []statusTicket {
	t.Helper()
	out, _ := s.run(1, "status", "--json", url)
	var o struct {
		Held   bool
		Queues []struct {
			Path    string
			Tickets []statusTicket
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &o), out)
	require.True(t, o.Held)
	require.Len(t, o.Queues, 1)
	require.Equal(t, url, o.Queues[0].Path)
	return o.Queues[0].Tickets
}

// TestCommandStatus: host, pid and more of each contender, from another process.
func TestCommandStatus(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	s, lock := newShell(t), newName(nil)
	url := at(c.endpoint(0), lock)
	host, err := os.Hostname()
	require.NoError(t, err)

	out, _ := s.run(0, "status", url)
	require.Contains(t, out, url+": free")
	var all []*command
	for i, flags := range [][]string{{"--label", "nightly\x1b[2J"}, {"-s"}, {"-s"}, nil} {
		args := append([]string{"run"}, flags...)
		c := s.start(append(args, url, "work", s.dir, fmt.Sprint("n", i), "until", fmt.Sprint("end", i))...)
		queued(t, client, int64(i+1))
		all = append(all, c)
	}
	s.has("n0")
	tickets := ticketsOf(t, s, url)
	require.Len(t, tickets, 4)
	for i, ticket := range tickets {
		require.Equal(t, i+1, ticket.Position)
		require.Equal(t, host, ticket.Host)
		require.Equal(t, all[i].cmd.Process.Pid, ticket.PID)
		require.Equal(t, fmt.Sprintf("%ds", commandLease), ticket.Lease)
		require.Contains(t, ticket.Reason, "left")
		require.Equal(t, map[bool]string{true: "inside", false: "waiting"}[i == 0], ticket.Phase)
		require.Equal(t, map[bool]string{true: "shared", false: "exclusive"}[i == 1 || i == 2], ticket.Kind)
	}
	require.Equal(t, "nightly\x1b[2J", tickets[0].Label)
	out, _ = s.run(1, "status", url)
	require.Contains(t, out, url+": held")
	require.Contains(t, out, `"nightly\x1b[2J"`)
	require.NotContains(t, out, "\x1b")
	for _, c := range all {
		require.Contains(t, out, fmt.Sprint(c.cmd.Process.Pid))
	}
	t.Log("\n" + out)

	// Who does not get it is told the same.
	_, said := s.run(75, "run", "-n", url, "work", s.dir, "no")
	require.Contains(t, said, fmt.Sprintf("%s pid %d", host, all[0].cmd.Process.Pid))
	require.Len(t, ticketsOf(t, s, url), 4)

	s.run(0, "status", "-q", at(c.endpoint(0), lock+"/other"))
	s.run(1, "status", "-q", at(c.endpoint(0), lock+"/other"), url)
	for i := range all {
		s.touch(fmt.Sprint("end", i))
	}
	all[0].ends(0)
	all[1].code() // two readers at once are an overlap to the worker
	all[2].code()
	all[3].code()
	queued(t, client, 0)
}

// TestCommandCodes: exit codes, and what is said with them.
func TestCommandCodes(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	refused := freeAddress(t) // nobody listens there
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	free, held := at(c.endpoint(0), "free"), at(c.endpoint(0), "held")
	s := newShell(t)
	holder := s.start("run", held, "work", s.dir, "holder", "until", "end")
	s.has("holder")
	dir := t.TempDir()
	work := func(more ...string) []string { return append([]string{"work", dir, "it"}, more...) }

	t.Run("all", func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			args  []string
			env   []string
			code  int
			says  string
			least time.Duration
			most  time.Duration
		}{
			{name: "the command's", args: append([]string{"run", free}, work("code", "7")...), code: 7},
			{name: "killed command", args: []string{"run", free, "sh", "-c", "kill -KILL $$"}, code: -9},
			{name: "no such command", args: []string{"run", free, "no-such-command"}, code: 69, says: "no-such-command"},
			{name: "busy", args: append([]string{"run", "-n", held}, work()...), code: 75, says: "the lock is busy"},
			{name: "busy, own code", args: append([]string{"run", "-n", "-E", "9", held}, work()...), code: 9},
			{name: "busy, quiet", args: append([]string{"run", "-qn", held}, work()...), code: 75, says: "-"},
			{name: "no longer than", args: append([]string{"run", "-w", "0.3", held}, work()...), code: 75, says: "gave up after",
				least: 300 * time.Millisecond, most: 2 * time.Second},
			{name: "refused", args: append([]string{"run", "-w", "1", at(refused, "x")}, work()...), code: 71, says: "does not answer",
				least: time.Second, most: 4 * time.Second},
			{name: "silent", args: append([]string{"run", "-w", "1", at(silent.Addr().String(), "x")}, work()...), code: 71, says: "does not answer",
				least: time.Second, most: 4 * time.Second},
			{name: "silent, without a limit", args: append([]string{"run", at(silent.Addr().String(), "x")}, work()...), code: 71, says: "does not answer",
				least: 8 * time.Second, most: 12 * time.Second},
			{name: "status of a silent one", args: []string{"status", at(silent.Addr().String(), "x")}, code: 71, says: "does not answer"},
			{name: "a password", args: append([]string{"run", "etcd://me:secret@" + c.endpoint(0) + "/x"}, work()...), code: 64, says: "ETCDCTL_PASSWORD"},
			{name: "no name", args: append([]string{"run", "etcd://" + c.endpoint(0)}, work()...), code: 64, says: "name is missing"},
			{name: "a directory's name", args: append([]string{"run", "etcd://" + c.endpoint(0) + "/x/"}, work()...), code: 64, says: "directory"},
			{name: "a parameter", args: append([]string{"run", "etcd://" + c.endpoint(0) + "/x?leese=3s"}, work()...), code: 64, says: "leese"},
			{name: "exec", args: append([]string{"run", "-F", free}, work()...), code: 64, says: "renew"},
			{name: "hold", args: []string{"hold", free}, code: 64, says: "filelock run"},
			{name: "release", args: []string{"release", free}, env: []string{"FILELOCK_HOLDER=1:1"}, code: 64, says: "hold"},
			{name: "for files", args: append([]string{"run", "--queue-dir", dir, free}, work()...), code: 64, says: "--queue-dir"},
			{name: "nested", args: []string{"run", free, "filelock", "run", free, "work", dir, "it"}, code: 65, says: "wait for itself"},
			{name: "nested, another", args: append([]string{"run", free, "filelock", "run", free + "0s"}, work()...), code: 65, says: "wait for itself"},
			{name: "no such file", args: append([]string{"run", strings.Replace(free, "etcd:", "etcds:", 1)}, work()...),
				env: []string{"ETCDCTL_CACERT=" + filepath.Join(dir, "missing")}, code: 71, says: "ETCDCTL_CACERT"},
			{name: "TLS where there is none", args: append([]string{"run", "-w", "1", strings.Replace(free, "etcd:", "etcds:", 1)}, work()...), code: 71},
			{name: "endpoints of the environment", args: append([]string{"run", "etcd:///free"}, work("code", "3")...),
				env: []string{"ETCDCTL_ENDPOINTS=" + c.endpoint(0)}, code: 3},
			{name: "shared", args: append([]string{"run", "-s", free}, work("code", "4")...), code: 4},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := newShell(t, tt.env...)
				began := s.start(tt.args...)
				took := began.ends(tt.code)
				said := began.err.String()
				t.Logf("%d after %v: %s", tt.code, took, strings.TrimSpace(said))
				require.NotContains(t, said, "secret")
				if tt.says == "-" {
					require.Empty(t, said)
				} else {
					require.Contains(t, said, tt.says)
				}
				require.GreaterOrEqual(t, took, tt.least)
				if tt.most > 0 {
					require.Less(t, took, tt.most)
				}
			})
		}
	})
	s.touch("end")
	holder.ends(0)
	queued(t, client, 0)
}

// TestCommandInterrupted: a wait that a signal ends leaves nothing in the queue, and
// filelock ends by that signal.
func TestCommandInterrupted(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	s := newShell(t)
	url := at(c.endpoint(0), newName(nil))
	holder := s.start("run", url, "work", s.dir, "holder", "until", "end")
	s.has("holder")
	waiter := s.start("run", url, "work", s.dir, "waiter")
	queued(t, client, 2)
	require.NoError(t, waiter.cmd.Process.Signal(syscall.SIGTERM))
	waiter.ends(-int(syscall.SIGTERM))
	require.EqualValues(t, 1, keys(t, client), "nothing is left when it has ended")
	// While the command runs, signals are passed on to it.
	require.NoError(t, holder.cmd.Process.Signal(syscall.SIGTERM))
	holder.ends(-int(syscall.SIGTERM))
	require.Zero(t, keys(t, client))
	leases, err := client.Leases(t.Context())
	require.NoError(t, err)
	require.Empty(t, leases.Leases, "not even a lease")
}

// TestCommandTogether: a lock of etcd and one of a file, all or none; and what the
// command finds in its environment.
func TestCommandTogether(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	s := newShell(t)
	a, b := at(c.endpoint(0), "a"), at(c.endpoint(0), "b")
	out, _ := s.run(0, "run", "-t", "file", "-t", a, "-t", b, "-t", a, "--", "sh", "-c",
		`printf '%s|' "$FILELOCK_TARGET" "$FILELOCK_TICKET" "$FILELOCK_TOKEN"`)
	parts := strings.Split(out, "|")
	file := filepath.Join(s.dir, "file")
	if resolved, err := filepath.EvalSymlinks(s.dir); err == nil {
		file = filepath.Join(resolved, "file")
	}
	require.Equal(t, []string{file, a, b}, strings.Split(parts[0], "\n"))
	tickets := strings.Split(parts[1], "\n")
	require.Len(t, tickets, 3)
	require.Contains(t, tickets[0], "file.lock.")
	require.Contains(t, tickets[1], "/filelock/a/x-")
	require.Contains(t, tickets[2], "/filelock/b/x-")
	tokens := strings.Split(parts[2], "\n")
	require.Len(t, tokens, 3)
	require.Equal(t, "-", tokens[0], "without --fencing a file has none")

	holder := s.start("run", "file", "work", s.dir, "holder", "until", "end")
	s.has("holder")
	_, said := s.run(75, "run", "-n", "-t", "file", "-t", a, "work", s.dir, "it")
	require.Contains(t, said, "file")
	require.Zero(t, keys(t, client))
	both := s.start("run", "-t", "file", "-t", a, "work", s.dir, "both")
	queued(t, client, 1)
	s.touch("end")
	holder.ends(0)
	both.ends(0)
	require.Zero(t, keys(t, client))
}

// TestCommandUser: users and passwords are etcdctl's variables.
func TestCommandUser(t *testing.T) {
	c := startCluster(t, 1)
	client := newClient(t, c.endpoint(0))
	for _, do := range []func() error{
		func() error { _, err := client.RoleAdd(t.Context(), "locks"); return err },
		func() error {
			_, err := client.RoleGrantPermission(t.Context(), "locks", "/team/", clientv3.GetPrefixRangeEnd("/team/"), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := client.UserAdd(t.Context(), "root", "top"); return err },
		func() error { _, err := client.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := client.UserAdd(t.Context(), "worker", "secret"); return err },
		func() error { _, err := client.UserGrantRole(t.Context(), "worker", "locks"); return err },
		func() error { _, err := client.AuthEnable(t.Context()); return err },
	} {
		require.NoError(t, do())
	}
	url := at(c.endpoint(0), "x") + "&root=/team"
	for _, tt := range []struct {
		name string
		env  []string
		url  string
		code int
		says string
	}{
		{"user and password", []string{"ETCDCTL_USER=worker:secret"}, url, 0, ""},
		{"password apart", []string{"ETCDCTL_USER=worker", "ETCDCTL_PASSWORD=secret"}, url, 0, ""},
		{"user in the URL", []string{"ETCDCTL_PASSWORD=secret"}, strings.Replace(url, "://", "://worker@", 1), 0, ""},
		{"user in the URL, another's password", []string{"ETCDCTL_USER=root:top"}, strings.Replace(url, "://", "://worker@", 1), 64, "no password"},
		{"nobody", nil, url, 71, "user name is empty"},
		{"wrong password", []string{"ETCDCTL_USER=worker:wrong"}, url, 71, "authentication failed"},
		{"no password", []string{"ETCDCTL_USER=worker"}, url, 64, "ETCDCTL_PASSWORD"},
		{"no right", []string{"ETCDCTL_USER=worker:secret"}, at(c.endpoint(0), "x"), 71, "permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShell(t, tt.env...)
			run := s.start("run", tt.url, "work", s.dir, "it")
			took := run.ends(tt.code)
			said := run.err.String()
			t.Logf("%d after %v: %s", tt.code, took, said)
			require.Contains(t, said, tt.says)
			for _, secret := range []string{"secret", "wrong", "top"} {
				require.NotContains(t, strings.ReplaceAll(said, "wrong password", ""), secret)
			}
			require.Less(t, took, 5*time.Second)
		})
	}
}

// TestCommandTLS: etcds is with TLS, by etcdctl's variables.
func TestCommandTLS(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	certify(t, dir, time.Now().Add(time.Hour))
	certify(t, other, time.Now().Add(time.Hour))
	c := startClusterIn(t, 1, dir)
	url := strings.Replace(at(c.endpoint(0), "x"), "etcd:", "etcds:", 1)
	ca, wrong := "ETCDCTL_CACERT="+filepath.Join(dir, certName), "ETCDCTL_CACERT="+filepath.Join(other, certName)
	for _, tt := range []struct {
		name string
		env  []string
		url  string
		code int
		says string
	}{
		{"trusted", []string{ca}, url, 0, ""},
		{"endpoints with a scheme", []string{ca, "ETCDCTL_ENDPOINTS=https://" + c.endpoint(0)}, "etcd:///x", 0, ""},
		{"not verified", []string{"ETCDCTL_INSECURE_SKIP_TLS_VERIFY=true"}, url, 0, ""},
		{"another CA", []string{wrong}, url, 71, "x509"},
		{"no CA", nil, url, 71, "x509"},
		{"half a certificate", []string{ca, "ETCDCTL_CERT=" + filepath.Join(dir, certName)}, url, 64, "only one"},
		{"a client's certificate", []string{ca, "ETCDCTL_CERT=" + filepath.Join(dir, certName), "ETCDCTL_KEY=" + filepath.Join(dir, keyName)}, url, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShell(t, tt.env...)
			run := s.start("run", tt.url, "work", s.dir, "it")
			took := run.ends(tt.code)
			t.Logf("%d after %v: %s", tt.code, took, run.err.String())
			require.Contains(t, run.err.String(), tt.says)
			require.Less(t, took, 5*time.Second)
		})
	}
}
