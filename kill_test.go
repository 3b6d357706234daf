//go:build linux

package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

func init() {
	locktest.Register("survivor", survivorChild)
	locktest.Register("victim", victimChild)
}

// The words that survivors and victims share.
const (
	wordInside   = iota // the pid of who is inside
	wordOverlaps        // how often one entered while another lived inside
	wordHolds           // of the survivors
	wordStop
)

// mortal is a guard for holders who may be killed inside: a dead one does not
// count as being there.
type mortal struct{ *locktest.Guard }

func openMortal(dir string) (mortal, error) {
	guard, err := locktest.OpenGuard(filepath.Join(dir, "guard"))
	return mortal{guard}, err
}

func (m mortal) enter() {
	pid := int64(os.Getpid())
	if before := m.Word(wordInside).Swap(pid); before != 0 && running(before) {
		m.Word(wordOverlaps).Add(1)
	}
}

func (m mortal) leave() {
	if !m.Word(wordInside).CompareAndSwap(int64(os.Getpid()), 0) {
		m.Word(wordOverlaps).Add(1)
	}
}

// running reports whether a process runs that the test has not reaped yet.
func running(pid int64) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := line[strings.LastIndexByte(string(line), ')')+2]
	return state != 'Z' && state != 'X'
}

// survivorChild takes the lock over and over, and holds it for no time or the
// one given.
func survivorChild(args []string) error {
	hold := time.Duration(0)
	if len(args) > 1 {
		var err error
		if hold, err = time.ParseDuration(args[1]); err != nil {
			return err
		}
	}
	guard, err := openMortal(args[0])
	if err != nil {
		return err
	}
	l, err := filelock.New(filepath.Join(args[0], "target"))
	if err != nil {
		return err
	}
	for guard.Word(wordStop).Load() == 0 {
		err := l.Do(context.Background(), func(context.Context) error {
			guard.enter()
			defer guard.leave()
			guard.Word(wordHolds).Add(1)
			time.Sleep(hold)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// victimChild does the same, until it comes to the step at which it kills
// itself. The two dead tickets that it finds each time, one of them with a
// number above its own, make it take all steps.
func victimChild(args []string) error {
	dir, fatal := args[0], args[1]
	guard, err := openMortal(dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "target")
	l, err := filelock.New(path)
	if err != nil {
		return err
	}
	filelock.AtSteps(func(step, _ string) {
		if step == fatal {
			unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	})
	for {
		for _, ahead := range []time.Duration{-time.Minute, 10 * time.Millisecond} {
			file, err := plantTicket(path, func(n *ticket.Name) { n.PID = unusedPID })
			at := time.Now().Add(ahead)
			if err = errors.Join(err, os.Chtimes(file, at, at)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err // ErrNotExist: it is reclaimed already
			}
		}
		if err := l.Acquire(context.Background()); err != nil {
			return err
		}
		guard.enter()
		guard.leave()
		if err := l.Unlock(); err != nil {
			return err
		}
	}
}

// TestKillAtEveryStep kills a process before and after each of the calls that
// an acquisition and a release make of the directory, while others contend.
func TestKillAtEveryStep(t *testing.T) {
	times := 2 // on each filesystem
	if *soak > 0 {
		times = 50
	}
	// The rest of a queue that others use stays in use after each death.
	const after = 20
	onEach(t, func(t *testing.T, dir string) {
		guard, err := openMortal(dir)
		require.NoError(t, err)
		survivors := []*locktest.Child{locktest.Start(t, "survivor", dir), locktest.Start(t, "survivor", dir)}
		var worst time.Duration
		kills := 0
		for _, call := range filelock.Steps {
			for _, when := range []string{"before ", "after "} {
				for range times {
					victim := locktest.Start(t, "victim", dir, when+call)
					victim.Wait()
					require.Equal(t, "signal: killed", victim.Cmd.ProcessState.String(), "%s%s", when, call)
					kills++
					began, holds := time.Now(), guard.Word(wordHolds).Load()
					eventually(t, "the survivors, after a kill "+when+call, func() bool {
						return guard.Word(wordHolds).Load() >= holds+after
					})
					worst = max(worst, time.Since(began))
					for _, name := range tickets(t, dir) {
						require.NotContains(t, name, fmt.Sprintf(".%d.", victim.Pid()), "the killed one's ticket was left")
						require.NotContains(t, name, fmt.Sprintf(".%d.", unusedPID), "a dead ticket was left")
					}
				}
			}
		}
		guard.Word(wordStop).Store(1)
		for _, c := range survivors {
			c.Done()
		}
		t.Logf("%d kills at %d steps, %d holds of 2 survivors, %d overlaps; %d holds after a kill took %v at worst",
			kills, 2*len(filelock.Steps), guard.Word(wordHolds).Load(), guard.Word(wordOverlaps).Load(), after, worst.Round(time.Millisecond))
		require.Zero(t, guard.Word(wordOverlaps).Load(), "two were inside")
		requireNoTickets(t, dir)
	})
}
