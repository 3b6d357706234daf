//go:build unix

package tests

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/etcdlock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() { locktest.Register("storm", stormInChild) }

// stormInChild takes the lock again and again until it is killed. Inside it has a lock
// of the kernel's, which ends with it: so that nobody who is dead is taken for inside,
// and nobody who is inside for gone.
func stormInChild(args []string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(args[0], ","), Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	e, err := etcdlock.New(client)
	if err != nil {
		return err
	}
	lease, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	l, err := filelock.New("storm", filelock.WithEngine(e), filelock.WithLease(lease))
	if err != nil {
		return err
	}
	referee, err := os.OpenFile(args[1], os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), rand.N(10*time.Second))
		err := l.Acquire(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, filelock.ErrLost) {
			continue
		}
		if err != nil {
			return err
		}
		if err := syscall.Flock(int(referee.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			if l.Held() {
				locktest.Say("overlap")
			}
		} else {
			time.Sleep(rand.N(5 * time.Millisecond))
			if l.Held() {
				locktest.Say("held")
			}
			if err := syscall.Flock(int(referee.Fd()), syscall.LOCK_UN); err != nil {
				return err
			}
		}
		_ = l.Unlock()
	}
}

// storm is some processes that contend, of which one is killed now and then.
type storm struct {
	cluster        *cluster
	processes      int
	lease          time.Duration
	lasts, between time.Duration // kills
	leader         time.Duration // when the leader is killed, and begins again; 0: never

	mu                     sync.Mutex
	holds, overlaps, kills int
	last                   time.Time
	gap                    time.Duration // the longest between two holds
}

func (s *storm) rage(t *testing.T) {
	t.Helper()
	referee := filepath.Join(t.TempDir(), "referee")
	s.last = time.Now()
	var readers sync.WaitGroup
	begin := func() *locktest.Child {
		child := locktest.Start(t, "storm", strings.Join(s.cluster.endpoints(), ","), referee, s.lease)
		readers.Go(func() { s.read(child) })
		return child
	}
	var children []*locktest.Child
	for range s.processes {
		children = append(children, begin())
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.lasts)
	defer cancel()
	kill := time.NewTicker(s.between)
	defer kill.Stop()
	var leader <-chan time.Time
	if s.leader > 0 {
		leader = time.After(s.leader)
	}
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-kill.C:
			i := rand.IntN(s.processes)
			children[i].Kill()
			children[i] = begin()
			s.kills++
		case <-leader:
			i := s.cluster.leader()
			s.cluster.members[i].Kill()
			s.cluster.begin(i)
			s.cluster.ready(i)
		}
	}
	for _, child := range children {
		child.Kill()
	}
	readers.Wait()
	t.Logf("%d holds, %d overlaps, %d kills, the longest gap %v, in %v", s.holds, s.overlaps, s.kills, s.gap, s.lasts)
	require.Zero(t, s.overlaps)
	client := newClient(t, s.cluster.endpoints()...)
	require.Eventually(t, func() bool { return keys(t, client) == 0 }, 15*time.Second, 50*time.Millisecond, "nothing is left of the dead")
}

// read counts what a child says.
func (s *storm) read(child *locktest.Child) {
	for line := range child.Lines() {
		s.mu.Lock()
		switch line {
		case "held":
			s.holds++
			s.gap = max(s.gap, time.Since(s.last))
			s.last = time.Now()
		default:
			s.overlaps++
		}
		s.mu.Unlock()
	}
}

// TestStorm: eight processes, of which one is killed now and then, three members, and
// the leader killed and started again.
func TestStorm(t *testing.T) {
	lasts := 12 * time.Second
	switch {
	case *figures:
		lasts = time.Minute
	case testing.Short():
		lasts = 6 * time.Second
	}
	s := storm{cluster: startCluster(t, 3), processes: 8, lease: 3 * time.Second, lasts: lasts, between: 2 * time.Second, leader: lasts / 3}
	s.rage(t)
	require.Greater(t, s.holds, 10)
}

// TestStormOfKills: each lives for a second and a half, and often it is the last in the queue
// that dies, whose lease is longer. Hardly anything goes on; but nothing else goes wrong.
func TestStormOfKills(t *testing.T) {
	requireFigures(t)
	s := storm{
		cluster: startCluster(t, 1), processes: 6, lease: 5 * time.Second,
		lasts: 15 * time.Second, between: 250 * time.Millisecond,
	}
	s.rage(t)
}
