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
)

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
	measure := func(what string) {
		client, server := cpu(t, os.Getpid()), cpu(t, c.members[0].Pid())
		time.Sleep(lasts)
		client, server = cpu(t, os.Getpid())-client, cpu(t, c.members[0].Pid())-server
		t.Logf("%s, for %v: %v of a processor here, %v at the server", what, lasts, client, server)
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
	measure("1,000 locks held")
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
	measure("64 waiters with a client each")
	cancel()
	waiters.Wait()
	require.NoError(t, holder.Unlock())
}
