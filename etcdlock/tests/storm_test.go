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
	l, err := filelock.New("storm", filelock.WithEngine(e), filelock.WithLease(3*time.Second))
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

// TestStorm: eight processes, of which one is killed now and then, three members, and
// the leader killed and started again.
func TestStorm(t *testing.T) {
	const processes = 8
	lasts := 12 * time.Second
	switch {
	case *figures:
		lasts = time.Minute
	case testing.Short():
		lasts = 6 * time.Second
	}
	c := startCluster(t, 3)
	referee := filepath.Join(t.TempDir(), "referee")
	var mu sync.Mutex
	holds, overlaps, kills := 0, 0, 0
	last, gap := time.Now(), time.Duration(0)
	begin := func() *locktest.Child {
		return locktest.Start(t, "storm", strings.Join(c.endpoints(), ","), referee)
	}
	var readers sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	read := func(child *locktest.Child) {
		readers.Go(func() {
			for line := range child.Lines() {
				mu.Lock()
				switch line {
				case "held":
					holds++
					gap = max(gap, time.Since(last))
					last = time.Now()
				default:
					overlaps++
				}
				mu.Unlock()
			}
		})
	}
	var children []*locktest.Child
	for range processes {
		children = append(children, begin())
		read(children[len(children)-1])
	}
	leader := time.NewTimer(lasts / 3)
	kill := time.NewTicker(2 * time.Second)
	defer kill.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-kill.C:
			i := rand.IntN(processes)
			children[i].Kill()
			children[i] = begin()
			read(children[i])
			kills++
		case <-leader.C:
			i := c.leader()
			c.members[i].Kill()
			c.begin(i)
			c.ready(i)
		}
	}
	for _, child := range children {
		child.Kill()
	}
	readers.Wait()
	t.Logf("%d holds, %d overlaps, %d kills, the longest gap %v, in %v", holds, overlaps, kills, gap, lasts)
	require.Zero(t, overlaps)
	require.Greater(t, holds, 10)
	client := newClient(t, c.endpoints()...)
	require.Eventually(t, func() bool { return keys(t, client) == 0 }, 15*time.Second, 50*time.Millisecond, "nothing is left of the dead")
}
