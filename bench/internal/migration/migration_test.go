package migration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/gofrs/flock"
)

// programEnv makes a process of the test binary one of programs: its name, the lock's
// path and the number of holds.
const programEnv = "FILELOCK_MIGRATION"

func TestMain(m *testing.M) {
	call := os.Getenv(programEnv)
	if call == "" {
		os.Exit(m.Run())
	}
	words := strings.Split(call, "\n")
	holds, err := strconv.Atoi(words[2])
	if err == nil {
		err = programs[words[0]](words[1], holds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, words[0]+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// programs hold the lock so many times, and say how often somebody else was inside.
var programs = map[string]func(path string, holds int) error{
	"gofrs Lock": func(path string, holds int) error {
		l := flock.New(path)
		return run(path, holds, l.Lock, l.Unlock)
	},
	"gofrs TryLockContext": func(path string, holds int) error {
		l := flock.New(path)
		return run(path, holds, func() error {
			_, err := l.TryLockContext(context.Background(), time.Millisecond)
			return err
		}, l.Unlock)
	},
	"ours": func(path string, holds int) error { return ours(path, holds) },
	"ours with flock peers": func(path string, holds int) error {
		return ours(path, holds, filelock.WithFlockPeers())
	},
}

func ours(path string, holds int, opts ...filelock.Option) error {
	l, err := filelock.New(path, opts...)
	if err != nil {
		return err
	}
	return run(path, holds, func() error { return l.Acquire(context.Background()) }, l.Unlock)
}

func run(path string, holds int, lock, unlock func() error) error {
	overlaps := 0
	for range holds {
		if err := lock(); err != nil {
			return err
		}
		alone, err := inside(path + ".inside")
		if err != nil {
			return err
		}
		if !alone {
			overlaps++
		}
		if err := unlock(); err != nil {
			return err
		}
	}
	fmt.Println(overlaps)
	return nil
}

// inside makes a file that must not be there, and removes it.
func inside(path string) (alone bool, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	return true, os.Remove(path)
}

// TestGofrsFlock: old programs with gofrs/flock and new ones with WithFlockPeers, 10,000
// holds, and nobody beside another. Without the option there is.
func TestGofrsFlock(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no flock")
	}
	const each = 2500
	for _, program := range []string{"ours with flock peers", "ours"} {
		t.Run(program, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			var commands []*exec.Cmd
			var outputs []*strings.Builder
			for _, name := range []string{"gofrs Lock", "gofrs TryLockContext", program, program} {
				exe, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				c, out := exec.Command(exe), &strings.Builder{}
				c.Env = append(os.Environ(), fmt.Sprintf("%s=%s\n%s\n%d", programEnv, name, path, each))
				c.Stdout, c.Stderr = out, out
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				commands, outputs = append(commands, c), append(outputs, out)
			}
			overlaps := 0
			for i, c := range commands {
				if err := c.Wait(); err != nil {
					t.Fatalf("%v: %s", err, outputs[i])
				}
				n, err := strconv.Atoi(strings.TrimSpace(outputs[i].String()))
				if err != nil {
					t.Fatal(err)
				}
				overlaps += n
			}
			t.Logf("%d holds, %d overlaps", 4*each, overlaps)
			if beside := program == "ours"; beside != (overlaps > 0) {
				t.Errorf("%d overlaps", overlaps)
			}
		})
	}
}
