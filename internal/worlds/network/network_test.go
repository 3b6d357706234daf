//go:build linux

package network_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

var duration = flag.Duration("for", 20*time.Second, "how long a storm lasts")

const (
	port = ":9700"
	// perHost contenders run on each machine in a storm, and triers where all
	// try at once.
	perHost = 2
	triers  = 8
	rounds  = 50
	hold    = 2 * time.Millisecond
	// hung is how long an acquisition may take where four take turns.
	hung = 60 * time.Second
)

func init() {
	locktest.Register("contend", contend)
	locktest.Register("try", tryChild)
}

func TestMain(m *testing.M) {
	locktest.RunChild()
	flag.Parse()
	os.Exit(m.Run())
}

func number(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return n
}

func refereeAddress() string {
	if host := os.Getenv("RIG_REFEREE"); host != "" {
		return host + port
	}
	return "10.77.0.11" + port
}

// line is a contender's connection to the referee.
type line struct {
	conn net.Conn
	in   *bufio.Reader
}

func call() (*line, error) {
	var last error
	for range 100 {
		conn, err := net.Dial("tcp", refereeAddress())
		if err == nil {
			return &line{conn, bufio.NewReader(conn)}, nil
		}
		last = err
		time.Sleep(100 * time.Millisecond) // until it listens
	}
	return nil, last
}

func (l *line) say(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(l.conn, format+"\n", args...); err != nil {
		return "", err
	}
	answer, err := l.in.ReadString('\n')
	return strings.TrimSpace(answer), err
}

// TestNetwork runs on every machine at the same moment.
func TestNetwork(t *testing.T) {
	index, hosts := number("RIG_INDEX"), number("RIG_HOSTS")
	if index == 0 {
		t.Skip("it needs several machines, see the package's documentation")
	}
	if index == 1 {
		_, err := newReferee(port)
		require.NoError(t, err)
	}
	l, err := call()
	require.NoError(t, err)
	tests := []struct {
		name string
		f    func(t *testing.T, dir string)
	}{
		{"trips", trips}, {"storm", storm}, {"kills", kills}, {"tries", tries},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(os.Getenv("RIG_DIR"), tt.name)
			require.NoError(t, os.MkdirAll(dir, 0o777))
			_, err := l.say("meet begin-%s %d", tt.name, hosts)
			require.NoError(t, err)
			tt.f(t, dir)
			_, err = l.say("meet end-%s %d", tt.name, hosts)
			require.NoError(t, err)
			if index == 1 {
				score, err := l.say("score")
				require.NoError(t, err)
				var holds, overlaps int
				fmt.Sscan(score, &holds, &overlaps)
				left, err := filepath.Glob(filepath.Join(dir, "target.lock.*"))
				require.NoError(t, err)
				t.Logf("%s: %d holds (%.1f/s), %d overlaps, files left: %q", tt.name, holds, float64(holds)/duration.Seconds(), overlaps, left)
				require.Zero(t, overlaps, "two were inside")
			}
		})
	}
	time.Sleep(time.Second) // the others' last words
}

// contend takes the lock again and again until its time is over.
func contend(args []string) error {
	until, err := time.Parse(time.RFC3339Nano, args[1])
	if err != nil {
		return err
	}
	l, err := call()
	if err != nil {
		return err
	}
	lock, err := filelock.New(filepath.Join(args[0], "target"))
	if err != nil {
		return err
	}
	var holds, hangs int
	var longest, slowest time.Duration
	for time.Now().Before(until) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), hung)
		err := lock.Acquire(ctx)
		cancel()
		longest = max(longest, time.Since(began))
		if errors.Is(err, context.DeadlineExceeded) {
			hangs++
			locktest.Say("hung: %v", err)
			continue
		}
		if err != nil {
			return err
		}
		if _, err := l.say("in"); err != nil {
			return err
		}
		time.Sleep(hold)
		if _, err := l.say("out"); err != nil {
			return err
		}
		began = time.Now()
		if err := lock.Unlock(); err != nil {
			locktest.Say("unlock: %v", err)
		}
		slowest = max(slowest, time.Since(began))
		holds++
	}
	locktest.Say("holds %d, longest wait %v, slowest unlock %v, hangs %d", holds, longest.Round(time.Millisecond), slowest.Round(time.Millisecond), hangs)
	if hangs > 0 {
		return fmt.Errorf("%d acquisitions hung", hangs)
	}
	return nil
}

// child starts a contender and returns its command.
func child(t *testing.T, args ...any) *exec.Cmd {
	t.Helper()
	env, path := locktest.Command(t, args...)
	return process(env, path)
}

func process(env, path string) *exec.Cmd {
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), env)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

func storm(t *testing.T, dir string) {
	until := time.Now().Add(*duration).Format(time.RFC3339Nano)
	var all sync.WaitGroup
	for range perHost {
		cmd := child(t, "contend", dir, until)
		all.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("a contender: %v", err)
			}
		})
	}
	all.Wait()
}

// kills is storm, but contenders are killed and started again.
func kills(t *testing.T, dir string) {
	end := time.Now().Add(*duration)
	env, path := locktest.Command(t, "contend", dir, end.Format(time.RFC3339Nano))
	var all sync.WaitGroup
	for range perHost {
		all.Go(func() {
			killed := 0
			for time.Now().Before(end) {
				cmd := process(env, path)
				if err := cmd.Start(); err != nil {
					t.Errorf("start: %v", err)
					return
				}
				if left := time.Until(end); left > 5*time.Second {
					time.Sleep(500*time.Millisecond + rand.N(3*time.Second))
					cmd.Process.Kill()
					killed++
					cmd.Wait()
					continue
				}
				if err := cmd.Wait(); err != nil {
					t.Errorf("a contender: %v", err)
				}
			}
			t.Logf("killed %d times", killed)
		})
	}
	all.Wait()
}

// tries has all machines' contenders try at once: exactly one gets it.
func tries(t *testing.T, dir string) {
	var all sync.WaitGroup
	for range triers {
		cmd := child(t, "try", dir)
		all.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("a trier: %v", err)
			}
		})
	}
	all.Wait()
	if number("RIG_INDEX") != 1 {
		return
	}
	l, err := call()
	require.NoError(t, err)
	exactly := 0
	for round := range rounds {
		won, err := l.say("tally won-%d", round)
		require.NoError(t, err)
		if won == "1" {
			exactly++
		} else {
			t.Logf("round %d: %s got it", round, won)
		}
	}
	t.Logf("%d tries at once: exactly one got it in %d of %d rounds", triers*number("RIG_HOSTS"), exactly, rounds)
	require.Equal(t, rounds, exactly)
}

func tryChild(args []string) error {
	l, err := call()
	if err != nil {
		return err
	}
	lock, err := filelock.New(filepath.Join(args[0], "target"))
	if err != nil {
		return err
	}
	everybody := triers * number("RIG_HOSTS")
	for round := range rounds {
		if _, err := l.say("meet try-%d %d", round, everybody); err != nil {
			return err
		}
		err := lock.TryLock()
		switch {
		case err == nil:
			if _, err := l.say("count won-%d", round); err != nil {
				return err
			}
		case !errors.Is(err, filelock.ErrLocked):
			return err
		}
		if _, err := l.say("meet tried-%d %d", round, everybody); err != nil {
			return err
		}
		if err == nil {
			if err := lock.Unlock(); err != nil {
				return err
			}
		}
	}
	return nil
}

// trips counts the requests of a free acquisition and its release, on the first
// machine alone.
func trips(t *testing.T, dir string) {
	if number("RIG_INDEX") != 1 {
		return
	}
	const passages = 20
	lock, err := filelock.New(filepath.Join(dir, "target"))
	require.NoError(t, err)
	pass := func() {
		require.NoError(t, lock.Acquire(t.Context()))
		require.NoError(t, lock.Unlock())
	}
	pass()
	t.Logf("the first lock call was answered after %v", firstLock(t, dir).Round(time.Millisecond))
	before, began := requests(t), time.Now()
	for range passages {
		pass()
	}
	took := time.Since(began)
	t.Logf("a free acquisition and its release: %.1f requests, %v", float64(requests(t)-before)/passages, (took / passages).Round(time.Microsecond))
}

// firstLock says how long a lock call takes: a server that has just started
// keeps those who ask waiting for its grace time.
func firstLock(t *testing.T, dir string) time.Duration {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "probe"))
	require.NoError(t, err)
	defer f.Close()
	began := time.Now()
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1})
	require.NoError(t, err)
	return time.Since(began)
}

// requests returns how many this machine has sent to NFS and SMB servers.
func requests(t *testing.T) (n int) {
	t.Helper()
	if stats, err := os.ReadFile("/proc/fs/cifs/Stats"); err == nil {
		for row := range strings.Lines(string(stats)) {
			if count, ok := strings.CutPrefix(strings.TrimSpace(row), "SMBs:"); ok {
				fmt.Sscan(count, &n)
				return n
			}
		}
	}
	stats, err := os.ReadFile("/proc/self/mountstats")
	require.NoError(t, err)
	ops := false
	for row := range strings.Lines(string(stats)) {
		fields := strings.Fields(row)
		switch {
		case len(fields) > 0 && fields[0] == "device":
			ops = false
		case strings.Contains(row, "per-op statistics"):
			ops = true
		case ops && len(fields) > 1:
			var sent int
			fmt.Sscan(fields[1], &sent)
			n += sent
		}
	}
	return n
}
