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
	l, err := filelock.New(filepath.Join(dir, "target"), filelock.WithPlainPeers())
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

// takeTurns runs two of ours and a plain one in tight loops for some time, and
// counts the overlaps.
func takeTurns(t *testing.T, dir string, enough time.Duration, plain *locktest.Child) (overlaps int) {
	t.Helper()
	children := []*locktest.Child{plain, locktest.Start(t, "ours", dir), locktest.Start(t, "ours", dir)}
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
	time.Sleep(enough)
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
	t.Logf("2 of ours and 1 plain in %s: %d holds, %d of them plain, %d overlaps in %v",
		filepath.Base(dir), total, byPlain, count(), time.Since(began).Round(time.Millisecond))
	require.Positive(t, byPlain, "the plain one was never served")
	require.Greater(t, total, byPlain, "ours were never served")
	requireNoTickets(t, dir)
	return count()
}

func TestPlainPeers(t *testing.T) {
	enough := time.Second
	if *soak > 0 {
		enough = *soak
	}
	onEach(t, func(t *testing.T, dir string) {
		for language, start := range plainKinds() {
			sub := filepath.Join(dir, language)
			require.NoError(t, os.Mkdir(sub, 0o777))
			require.Zero(t, takeTurns(t, sub, enough, start(t, sub)))
		}
	})
}

// TestPlainPeersAreNeeded: a holder that has raised its number stands behind a
// plain peer that comes after it and never raises. Without the option that enters
// beside the holder; with it the holder has sunk.
func TestPlainPeersAreNeeded(t *testing.T) {
	for _, needed := range []bool{false, true} {
		t.Run(fmt.Sprintf("option %v", needed), func(t *testing.T) {
			onEach(t, func(t *testing.T, dir string) {
				var opts []filelock.Option
				if needed {
					opts = append(opts, filelock.WithPlainPeers())
				}
				path := filepath.Join(dir, "target")
				first, holder := newLock(t, path), newLock(t, path, opts...)
				holder.OwnLine()
				acquire(t, first)
				ahead := time.Now().Add(time.Hour)
				require.NoError(t, os.Chtimes(filepath.Join(dir, tickets(t, dir)[0]), ahead, ahead))
				raised := start(func() error { return holder.Acquire(context.Background()) })
				settled(t, path, 2)
				requireBlocks(t, raised)
				require.NoError(t, first.Unlock())
				require.NoError(t, result(t, raised))

				const plain = "target.lock.host.7.tok.pid"
				entered := start(func() error { return plainEnter(dir, plain) })
				if needed {
					requireBlocks(t, entered)
					require.NoError(t, holder.Unlock())
				}
				require.NoError(t, result(t, entered))
				require.NoError(t, os.Remove(filepath.Join(dir, plain)))
				if !needed {
					require.NoError(t, holder.Unlock())
				}
				requireNoTickets(t, dir)
			})
		})
	}
}
