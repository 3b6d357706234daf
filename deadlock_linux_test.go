package filelock_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("nested", nestedChild)
}

// nestedChild takes one lock and then, when told, another one; it says what it is told
// while it waits, and how that ended.
func nestedChild(args []string) error {
	var told []logged
	records := records{level: slog.LevelWarn, all: &told}
	first, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	second, err := filelock.New(args[1], filelock.WithSlog(slog.New(telling{records})))
	if err != nil {
		return err
	}
	limit, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	if err := first.Acquire(context.Background()); err != nil {
		return err
	}
	locktest.Say("holds")
	locktest.Gate()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err = second.Acquire(ctx)
	locktest.Say("ended %v", err)
	locktest.Gate()
	if err == nil {
		err = second.Unlock()
	} else {
		err = nil
	}
	if e := first.Unlock(); e != nil {
		return e
	}
	return err
}

// telling is a slog.Handler that has a child say what it is told of deadlocks.
type telling struct{ slog.Handler }

func (h telling) WithAttrs(attrs []slog.Attr) slog.Handler { return h }

func (h telling) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if r.Message == "deadlock" && a.Key == "circle" {
			locktest.Say("told %s", a.Value)
		}
		return true
	})
	return nil
}

// TestCircleIsTold: n processes, each of which holds one lock and waits for the next
// one's, are told within two seconds, while they wait and when they give up; and none of
// them is kept from anything by that.
func TestCircleIsTold(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprintf("%d processes", n), func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				var children []*locktest.Child
				path := func(i int) string { return filepath.Join(dir, string(rune('a'+i%n))) }
				for i := range n {
					children = append(children, locktest.Start(t, "nested", path(i), path(i+1), 4*time.Second))
				}
				for _, c := range children {
					c.Expect("holds")
				}
				began := time.Now()
				for _, c := range children {
					c.Go()
				}
				for i, c := range children {
					want := "may be a deadlock: "
					for j := range n {
						waits := fmt.Sprintf("pid %d waits for %s", children[(i+j)%n].Pid(), path(i+j+1))
						if j > 0 {
							waits = fmt.Sprintf(", which pid %d holds while it waits for %s", children[(i+j)%n].Pid(), path(i+j+1))
						}
						want += waits
					}
					want += fmt.Sprintf(", which pid %d holds", c.Pid())
					c.Expect("told " + want)
					took := time.Since(began)
					t.Logf("told after %v: %s", took.Round(time.Millisecond), want)
					require.Less(t, took, 2*time.Second)
					defer func() {
						line := c.Line()
						require.Contains(t, line, "; "+want+"; gave up after 4")
					}()
				}
			})
		})
	}
}

// used returns the processor time that a process has had.
func used(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	require.NoError(t, err)
	for _, task := range tasks {
		line, err := os.ReadFile(task)
		if err != nil {
			continue // it has just ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(line))[0], 10, 64)
		require.NoError(t, err)
		sum += time.Duration(ns)
	}
	return sum
}

// TestLooksAreCheap: many who wait, and hold something else, are not busy with that.
func TestLooksAreCheap(t *testing.T) {
	const n, lasts = 64, 5 * time.Second
	for _, nested := range []bool{false, true} {
		dir := t.TempDir()
		common := filepath.Join(dir, "common")
		holder := newLock(t, common)
		acquire(t, holder)
		var children []*locktest.Child
		for i := range n {
			var c *locktest.Child
			if nested {
				c = locktest.Start(t, "nested", filepath.Join(dir, fmt.Sprint(i)), common, time.Minute)
				c.Expect("holds")
				c.Go()
			} else {
				c = locktest.Start(t, "hold", common)
			}
			children = append(children, c)
		}
		settled(t, common, n+1)
		time.Sleep(time.Second)
		before := make([]time.Duration, n)
		for i, c := range children {
			before[i] = used(t, c.Pid())
		}
		time.Sleep(lasts)
		var sum time.Duration
		for i, c := range children {
			sum += used(t, c.Pid()) - before[i]
		}
		t.Logf("nested %v: %d processes that wait used %v in %v", nested, n, sum, lasts)
		require.NoError(t, holder.Unlock())
		for _, c := range children {
			c.Kill()
		}
	}
}
