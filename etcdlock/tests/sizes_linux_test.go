package tests

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/etcdlock"
)

// TestSizesWithPassword: with users and passwords, too, the server checks a password when a
// client comes, and not at each renewal or wait: that takes it some ten milliseconds.
func TestSizesWithPassword(t *testing.T) {
	requireFigures(t)
	const held, lasts = 50, 10 * time.Second
	c := startCluster(t, 1)
	admin := addUsers(t, c)
	_, err := admin.AuthEnable(t.Context())
	require.NoError(t, err)
	e, other := engineOf(t, c, "locks", "right"), engineOf(t, c, "locks", "right")
	for i := range held {
		l, err := filelock.New(fmt.Sprintf("many/%d", i), filelock.WithEngine(e))
		require.NoError(t, err)
		require.NoError(t, l.Acquire(t.Context()))
		defer func() { require.NoError(t, l.Unlock()) }()
	}
	time.Sleep(time.Second)
	before := cpu(t, c.members[0].Pid())
	time.Sleep(lasts)
	used := cpu(t, c.members[0].Pid()) - before
	t.Logf("%d locks held for %v: %v of a processor at the server", held, lasts, used)
	assert.LessOrEqual(t, used, lasts/20)

	var locks []*filelock.FileLock
	for _, e := range []*etcdlock.Engine{e, other} {
		l, err := filelock.New("one", filelock.WithEngine(e), filelock.WithBatch(0))
		require.NoError(t, err)
		locks = append(locks, l)
	}
	const holds = 100
	var all sync.WaitGroup
	began := time.Now()
	for _, l := range locks {
		all.Go(func() {
			for range holds {
				assert.NoError(t, l.Acquire(t.Context()))
				assert.NoError(t, l.Unlock())
			}
		})
	}
	all.Wait()
	each := time.Since(began) / (2 * holds)
	t.Logf("from one client to the other: %v", each)
	assert.Less(t, each, 20*time.Millisecond)
}

// cpu returns how much of a processor a process has used, by ticks of 10 ms.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int
	for _, field := range fields[11:13] { // user and system
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// TestSizes: what it costs to hold many locks, and to wait in a long queue.
func TestSizes(t *testing.T) {
	requireFigures(t)
	const lasts = 10 * time.Second
	c := startCluster(t, 1)
	e := newEngine(t, c.endpoint(0))
	measure := func(what string) (client, server time.Duration) {
		client, server = cpu(t, os.Getpid()), cpu(t, c.members[0].Pid())
		time.Sleep(lasts)
		client, server = cpu(t, os.Getpid())-client, cpu(t, c.members[0].Pid())-server
		t.Logf("%s, for %v: %v of a processor here, %v at the server", what, lasts, client, server)
		return client, server
	}
	measure("nothing")
	var locks []*filelock.FileLock
	for i := range 1000 {
		l, err := filelock.New(fmt.Sprintf("many/%d", i), filelock.WithEngine(e))
		require.NoError(t, err)
		require.NoError(t, l.Acquire(t.Context()))
		locks = append(locks, l)
	}
	time.Sleep(time.Second)
	client, server := measure("1,000 locks held")
	assert.LessOrEqual(t, client, lasts/20)
	assert.LessOrEqual(t, server, lasts/20)
	for _, l := range locks {
		require.NoError(t, l.Unlock())
	}

	holder := newLock(t, c, "one")
	require.NoError(t, holder.Acquire(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var waiters sync.WaitGroup
	for range 64 {
		l := newLock(t, c, "one")
		waiters.Go(func() { assert.ErrorIs(t, l.Acquire(ctx), context.Canceled) })
	}
	time.Sleep(2 * time.Second)
	client, _ = measure("64 waiters with a client each")
	assert.LessOrEqual(t, client, 100*time.Millisecond)
	cancel()
	waiters.Wait()
	require.NoError(t, holder.Unlock())
}
