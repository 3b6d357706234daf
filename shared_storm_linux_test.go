package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

func init() {
	locktest.Register("readers-and-writers", mixedChild)
}

// mixed is processes of goroutines that read and write, give up and are killed.
type mixed struct {
	processes, goroutines int
	readers               float64
	batch                 time.Duration
	lasts                 time.Duration
}

const mostGoroutines = 64 // of a process: contender n is of process n / mostGoroutines

func processOf(who int) int { return who / mostGoroutines }

// run has them use a directory, and judges by their history.
func (m mixed) run(t *testing.T, dir string) {
	t.Helper()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	file := filepath.Join(t.TempDir(), "history")
	history, err := locktest.OpenHistory(file)
	require.NoError(t, err)
	var children []*locktest.Child
	var numbers []int
	begun := 0
	begin := func() *locktest.Child {
		begun++
		return locktest.Start(t, "readers-and-writers", dir, file, begun, m.goroutines, m.readers, m.batch, seed)
	}
	for range m.processes {
		children, numbers = append(children, begin()), append(numbers, begun)
	}
	kills := 0
	for end := time.Now().Add(m.lasts); time.Now().Before(end) && !history.Over(); {
		time.Sleep(time.Duration(random.Int64N(int64(10 * mustBlock)))) // kills come at any time
		i := random.IntN(len(children))
		history.Note(locktest.Event{Step: locktest.Killed, Who: numbers[i]})
		children[i].Kill()
		kills++
		children[i], numbers[i] = begin(), begun
	}
	history.Stop()
	for _, c := range children {
		c.Done() // it is stuck if it waits
	}
	v := locktest.Judge(history.Events(), processOf)
	t.Logf("seed %d: %d processes × %d goroutines, %.0f %% readers, batch %v: %d reads, %d writes, %d kills, %d wrong; at most %d let in before a reader, %d before a writer",
		seed, m.processes, m.goroutines, 100*m.readers, m.batch, v.Readers, v.Writers, kills, len(v.Wrong), v.LongestReader, v.LongestWriter)
	require.Empty(t, v.Wrong[:min(len(v.Wrong), 10)])
	require.NotZero(t, v.Readers)
	require.NotZero(t, v.Writers)
	// Who has a place is not overtaken, as Judge has checked where each process is one
	// goroutine. Counted from the asking, those also come in first who get their places
	// while the asking one stands in its process's line, or has no processor: on a busy
	// machine some rounds of all. A stream of the one kind that kept out the other would
	// have no limit: thousands.
	turns := m.processes * m.goroutines
	require.LessOrEqual(t, v.LongestReader, 16*turns)
	require.LessOrEqual(t, v.LongestWriter, 16*turns)

	l := newLock(t, filepath.Join(dir, "target"))
	acquire(t, l) // and removes what the killed ones left
	require.NoError(t, l.Unlock())
	require.NoError(t, l.Close())
	requireNoTickets(t, dir)
}

func mixedChild(args []string) error {
	number, err1 := strconv.Atoi(args[2])
	goroutines, err2 := strconv.Atoi(args[3])
	readers, err3 := strconv.ParseFloat(args[4], 64)
	batch, err4 := time.ParseDuration(args[5])
	seed, err5 := strconv.ParseUint(args[6], 10, 64)
	history, err6 := locktest.OpenHistory(args[1])
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	l, err := filelock.New(filepath.Join(args[0], "target"), filelock.WithBatch(batch))
	if err != nil {
		return err
	}
	first := number * mostGoroutines
	if goroutines == 1 {
		// The place of whoever acquires is the process's.
		filelock.AtSteps(func(step, _ string) {
			if step == "after Settle" {
				history.Note(locktest.Event{Step: locktest.Final, Who: first})
			}
		})
	}
	errs := make([]error, goroutines)
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(first+i)))
			for errs[i] == nil && !history.Over() {
				errs[i] = readOrWrite(l, history, first+i, random.Float64() < readers, random)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// readOrWrite holds the lock once, or gives up.
func readOrWrite(l *filelock.FileLock, history *locktest.History, who int, shared bool, random *rand.Rand) error {
	note := func(s locktest.Step) { history.Note(locktest.Event{Step: s, Shared: shared, Who: who}) }
	ctx := context.Background()
	if random.IntN(8) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(random.Int64N(int64(5*time.Millisecond))))
		defer cancel()
	}
	as := writing
	if shared {
		as = reading
	}
	note(locktest.Asked)
	if random.IntN(8) == 0 {
		if err := as.tryFor(l, ctx); err != nil {
			note(locktest.GaveUp)
			return expect(err, filelock.ErrLocked, context.DeadlineExceeded)
		}
	} else if err := as.acquire(l, ctx); err != nil {
		note(locktest.GaveUp)
		return expect(err, context.DeadlineExceeded)
	}
	note(locktest.Entered)
	if random.IntN(2) == 0 {
		time.Sleep(time.Duration(random.Int64N(int64(time.Millisecond)))) // it works
	}
	note(locktest.Left)
	return l.Unlock()
}

// expect returns err unless it is one of these.
func expect(err error, kinds ...error) error {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return nil
		}
	}
	return err
}

func (m mixed) name() string {
	return strings.ReplaceAll(fmt.Sprintf("%d×%d, %.0f %% readers, batch %v", m.processes, m.goroutines, 100*m.readers, m.batch), " ", "_")
}

// TestReadersAndWriters: no reader is inside with a writer, nor two writers, however
// they are killed or give up; and whose place is final is overtaken by nobody who asks
// later and excludes it, so that whoever waits lets each of the others in once at the
// most.
func TestReadersAndWriters(t *testing.T) {
	lasts := time.Second
	if *soak > 0 {
		lasts = *soak
	}
	onEach(t, func(t *testing.T, dir string) {
		for i, m := range []mixed{
			// One goroutine each: then it can be told when its place is final.
			{processes: 8, goroutines: 1, readers: 0.9, batch: filelock.DefaultBatch},
			{processes: 8, goroutines: 1, readers: 0.5, batch: 0},
			{processes: 8, goroutines: 8, readers: 0.9, batch: filelock.DefaultBatch},
			{processes: 8, goroutines: 8, readers: 0.5, batch: 0},
		} {
			t.Run(m.name(), func(t *testing.T) {
				m.lasts = lasts
				m.run(t, subdirectory(t, dir, i))
			})
		}
	})
}
