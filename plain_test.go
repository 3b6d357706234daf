//go:build unix

package filelock_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
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
	locktest.Register("plain", plainChild)
	locktest.Register("ours", oursChild)
}

// inside is a witness of overlaps that programs in any language can share: a
// file that only one can create.
func inside(dir string, f func()) error {
	path := filepath.Join(dir, "inside")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		overlaps, err := os.OpenFile(filepath.Join(dir, "overlaps"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
		if err != nil {
			return err
		}
		defer overlaps.Close()
		_, err = overlaps.WriteString("ours\n")
		return err
	}
	if err != nil {
		return err
	}
	file.Close()
	f()
	return os.Remove(path)
}

// stopped reports whether the test has had enough.
func stopped(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "stop"))
	return err == nil
}

func oursChild(args []string) error {
	dir := args[0]
	var opts []filelock.Option
	if args[1] == "true" {
		opts = append(opts, filelock.WithPlainPeers())
	}
	l, err := filelock.New(filepath.Join(dir, "target"), opts...)
	if err != nil {
		return err
	}
	locktest.Say("ready")
	locktest.Gate()
	holds := 0
	for !stopped(dir) {
		err := l.Do(context.Background(), func(context.Context) error { return inside(dir, func() {}) })
		if err != nil {
			return err
		}
		holds++
	}
	locktest.Say("%d", holds)
	return nil
}

// plainChild follows the rule of simple-file-lock, where there is no Python.
func plainChild(args []string) error {
	dir := args[0]
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	locktest.Say("ready")
	locktest.Gate()
	holds := 0
	for !stopped(dir) {
		var token [32]byte
		rand.Read(token[:])
		name := fmt.Sprintf("target.lock.%s.%d.%s.pid", host, os.Getpid(), hex.EncodeToString(token[:]))
		if err := plainEnter(dir, name); err != nil {
			return err
		}
		if err := inside(dir, func() {}); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
		holds++
	}
	locktest.Say("%d", holds)
	return nil
}

func plainEnter(dir, name string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	f.Close()
	for ; ; time.Sleep(100 * time.Microsecond) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		lowest, since := "", time.Time{}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), "target.lock.") {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if c := info.ModTime().Compare(since); lowest == "" || c < 0 || c == 0 && e.Name() < lowest {
				lowest, since = e.Name(), info.ModTime()
			}
		}
		if lowest == name {
			return nil
		}
	}
}

// plainKinds are the plain contenders that can be had here, by language.
func plainKinds() map[string]func(t *testing.T, dir string) *locktest.Child {
	kinds := map[string]func(t *testing.T, dir string) *locktest.Child{
		"Go": func(t *testing.T, dir string) *locktest.Child { return locktest.Start(t, "plain", dir) },
	}
	if python, err := exec.LookPath("python3"); err == nil && exec.Command(python, "-c", "").Run() == nil {
		kinds["Python"] = func(t *testing.T, dir string) *locktest.Child {
			return locktest.StartCmd(t, exec.Command(python, "testdata/plain.py", dir))
		}
	}
	return kinds
}

// takeTurns runs two of ours and a plain one in tight loops for some time, or
// without WithPlainPeers until the first overlap, and counts the overlaps.
func takeTurns(t *testing.T, dir string, peers bool, enough time.Duration, plain *locktest.Child) (overlaps int) {
	t.Helper()
	children := []*locktest.Child{
		plain, locktest.Start(t, "ours", dir, peers), locktest.Start(t, "ours", dir, peers),
	}
	for _, c := range children {
		c.Expect("ready")
	}
	began := time.Now()
	for _, c := range children {
		c.Go()
	}
	count := func() int {
		b, _ := os.ReadFile(filepath.Join(dir, "overlaps"))
		return strings.Count(string(b), "\n")
	}
	for time.Since(began) < enough && (peers || count() == 0) {
		time.Sleep(mustBlock)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stop"), nil, 0o666))
	total, byPlain := 0, 0
	for i, c := range children {
		n, err := strconv.Atoi(c.Line())
		require.NoError(t, err)
		c.Done()
		total += n
		if i == 0 {
			byPlain = n
		}
	}
	t.Logf("2 of ours and 1 plain in %s, WithPlainPeers %v: %d holds, %d of them plain, %d overlaps in %v",
		filepath.Base(dir), peers, total, byPlain, count(), time.Since(began).Round(time.Millisecond))
	require.Positive(t, byPlain, "the plain one was never served")
	require.Greater(t, total, byPlain, "ours were never served")
	requireNoTickets(t, dir)
	return count()
}

func TestPlainPeers(t *testing.T) {
	enough := 2 * time.Second
	if *soak > 0 {
		enough = *soak
	}
	onEach(t, func(t *testing.T, dir string) {
		for language, start := range plainKinds() {
			sub := filepath.Join(dir, language)
			require.NoError(t, os.Mkdir(sub, 0o777))
			require.Zero(t, takeTurns(t, sub, true, enough, start(t, sub)))
		}
	})
}

// TestPlainPeersAreNeeded: without the option the same overlaps, or else the
// test above would show nothing.
func TestPlainPeersAreNeeded(t *testing.T) {
	onEach(t, func(t *testing.T, dir string) {
		require.Positive(t, takeTurns(t, dir, false, stuck, locktest.Start(t, "plain", dir)))
	})
}
