package migration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/gofrs/flock"
)

func init() { programs["ours in a loop"] = loop }

// loop has the lock again and again until its input ends, and says how often it had it:
// for so many microseconds each time, with a pause in between of as many as pauseEnv says.
func loop(path string, hold int) error {
	pause, err := strconv.Atoi(os.Getenv(pauseEnv))
	if err != nil {
		return err
	}
	l, err := filelock.New(path, filelock.WithFlockPeers())
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	holds := 0
	for ; ctx.Err() == nil; holds++ {
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		if holds == 0 {
			fmt.Println("in")
		}
		wait(time.Duration(hold) * time.Microsecond)
		if err := l.Unlock(); err != nil {
			return err
		}
		wait(time.Duration(pause) * time.Microsecond)
	}
	fmt.Println(holds)
	return nil
}

// pauseEnv is how long the loop is without the lock each time, in microseconds.
const pauseEnv = "FILELOCK_MIGRATION_PAUSE"

// wait sleeps, but not for nothing: that takes its time, too.
func wait(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

// BenchmarkPollingPeer is how one old program fares beside new ones that never stop: how
// often it gets in, and how long that takes. Each round is ten seconds, so -benchtime=1x
// is enough.
func BenchmarkPollingPeer(b *testing.B) {
	polls := func(retry time.Duration) func(ctx context.Context, l *flock.Flock) error {
		return func(ctx context.Context, l *flock.Flock) error {
			_, err := l.TryLockContext(ctx, retry)
			return err
		}
	}
	peers := []struct {
		name string
		lock func(ctx context.Context, l *flock.Flock) error
	}{
		{"polls each 10ms", polls(10 * time.Millisecond)},
		{"polls each 1ms", polls(time.Millisecond)},
		{"waits", func(_ context.Context, l *flock.Flock) error { return l.Lock() }},
	}
	for _, peer := range peers {
		for _, ours := range []struct{ processes, hold, pause int }{
			{1, 1000, 0}, {1, 10_000, 0}, {1, 1000, 10_000},
		} {
			b.Run(fmt.Sprintf("peer %s/%d of ours, hold %dus, pause %dus", peer.name, ours.processes, ours.hold, ours.pause), func(b *testing.B) {
				for range b.N {
					beside(b, ours.processes, ours.hold, ours.pause, peer.lock)
				}
			})
		}
	}
}

// beside measures one round.
func beside(b *testing.B, processes, hold, pause int, lock func(context.Context, *flock.Flock) error) {
	const round = 10 * time.Second
	path := filepath.Join(b.TempDir(), "lock")
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var stops []func() int
	for range processes {
		c := exec.Command(exe)
		c.Env = append(os.Environ(),
			fmt.Sprintf("%s=%s\n%s\n%d", programEnv, "ours in a loop", path, hold), fmt.Sprintf("%s=%d", pauseEnv, pause))
		c.Stderr = os.Stderr
		stdin, err := c.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if _, err := lines.ReadString('\n'); err != nil {
			b.Fatal(err)
		}
		stops = append(stops, func() int {
			stdin.Close()
			line, _ := lines.ReadString('\n')
			if err := c.Wait(); err != nil {
				b.Fatal(err)
			}
			n, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				b.Fatal(err)
			}
			return n
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), round)
	defer cancel()
	holds, longest := 0, time.Duration(0)
	var waited time.Duration
	for l := flock.New(path); ctx.Err() == nil; {
		began := time.Now()
		err := lock(ctx, l)
		took := time.Since(began)
		longest, waited = max(longest, took), waited+took
		if err != nil {
			break
		}
		holds++
		wait(time.Duration(hold) * time.Microsecond)
		if err := l.Unlock(); err != nil {
			b.Fatal(err)
		}
	}
	others := 0
	for _, stop := range stops {
		others += stop()
	}
	b.ReportMetric(float64(holds)/round.Seconds(), "peer-holds/s")
	b.ReportMetric(float64(others)/round.Seconds(), "our-holds/s")
	b.ReportMetric(float64(longest.Milliseconds()), "longest-ms")
	b.ReportMetric(float64(waited.Milliseconds())/float64(max(holds, 1)), "mean-ms")
}
