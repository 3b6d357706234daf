package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var runs = flag.Int("runs", 100, "how many times TestCostBesideFlock runs each command")

// What the command costs beside flock(1), in one run, in turns: the figures are in the
// log (-v), and what docs/command.md says of them is a ratio.
func TestCostBesideFlock(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "filelock")
	build := exec.Command("go", "build", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	lines := map[string][]string{
		"filelock": {binary, "run", filepath.Join(dir, "T"), "true"},
		"flock":    {"flock", filepath.Join(dir, "F"), "true"},
	}
	uncontended := map[string]time.Duration{}
	for range *runs / 10 {
		for name, line := range lines {
			began := time.Now()
			for range 10 {
				require.NoError(t, exec.Command(line[0], line[1:]...).Run())
			}
			uncontended[name] += time.Since(began)
		}
	}
	for name := range lines {
		t.Logf("%d runs of true, %s: %v each", *runs, name, uncontended[name]/time.Duration(*runs))
	}
	t.Logf("filelock takes %.1f times as long", float64(uncontended["filelock"])/float64(uncontended["flock"]))

	for name, line := range lines {
		count := filepath.Join(dir, name+".count")
		script := fmt.Sprintf(`n=$(cat %[1]s 2>/dev/null || echo 0); sleep 0.01; echo $((n+1)) >%[1]s`, count)
		began := time.Now()
		var all []*exec.Cmd
		for range 20 {
			cmd := exec.Command(line[0], append(line[1:len(line)-1:len(line)-1], "sh", "-c", script)...)
			require.NoError(t, cmd.Start())
			all = append(all, cmd)
		}
		for _, cmd := range all {
			require.NoError(t, cmd.Wait())
		}
		t.Logf("20 runs of 10 ms at once, %s: %v", name, time.Since(began))
		require.Equal(t, "20", waitForFile(t, count))
	}

	for name, line := range lines {
		held := filepath.Join(dir, name+".held")
		holder := exec.Command(line[0], append(line[1:len(line)-1:len(line)-1], "sh", "-c", "echo held >"+held+"; exec sleep 5")...)
		require.NoError(t, holder.Start())
		waitForFile(t, held)
		waiter := exec.Command(line[0], line[1:]...)
		require.NoError(t, waiter.Start())
		time.Sleep(time.Second) // of waiting: that is what is measured
		memory := residentOf(t, waiter.Process.Pid)
		t.Logf("a waiter, %s: %d kB resident, of which %d its own", name, memory["Rss"], memory["Private_Dirty"])
		require.Less(t, memory["Rss"], 20<<10)
		_ = waiter.Process.Kill()
		_ = holder.Process.Kill()
		_ = waiter.Wait()
		_ = holder.Wait()
	}
}

// residentOf is the memory of a process, in kB.
func residentOf(t *testing.T, pid int) map[string]int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Skip(err)
	}
	kB := map[string]int{}
	for line := range bytes.Lines(text) {
		if f := strings.Fields(string(line)); len(f) == 3 {
			kB[strings.TrimSuffix(f[0], ":")], _ = strconv.Atoi(f[1])
		}
	}
	return kB
}
