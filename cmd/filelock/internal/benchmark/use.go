package benchmark

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/cmd/filelock/internal/worker"
)

// Tasks are what workers do here.
func Tasks() map[string]worker.Func { return map[string]worker.Func{"use": use} }

// using is what a worker is to do: use a lock again and again.
type using struct {
	Target     string
	For        time.Duration
	Goroutines int
	Once       bool
}

// mostTimes is how many single times are kept of a process: a sample, if there are more.
const mostTimes = 20_000

// uses is what came of it.
type uses struct {
	Count   int
	Longest time.Duration
	Times   []time.Duration
}

// add adds one use. From mostTimes on, each stays with the same chance.
func (u *uses) add(d time.Duration) {
	u.Count++
	u.Longest = max(u.Longest, d)
	if len(u.Times) < mostTimes {
		u.Times = append(u.Times, d)
	} else if i := rand.IntN(u.Count); i < mostTimes {
		u.Times[i] = d
	}
}

// use is the task.
func use(ctx context.Context, spec json.RawMessage, in io.Reader, out io.Writer) error {
	var s using
	if err := json.Unmarshal(spec, &s); err != nil {
		return err
	}
	var opts []filelock.Option
	if s.Once {
		opts = append(opts, filelock.WithLinger(0))
	}
	lock, err := filelock.New(s.Target, opts...)
	if err != nil {
		return err
	}
	defer lock.Close()
	say := json.NewEncoder(out)
	// What is done once in a process's life is done now.
	if err := lock.Do(ctx, func(context.Context) error { return nil }); err != nil {
		return err
	}
	if err := say.Encode(true); err != nil {
		return err
	}
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return err
	}
	total, err := s.run(ctx, lock)
	if err != nil {
		return err
	}
	return say.Encode(total)
}

// run uses the lock in all goroutines.
func (s using) run(ctx context.Context, lock *filelock.FileLock) (total uses, err error) {
	var (
		mu  sync.Mutex
		all sync.WaitGroup
	)
	end := time.Now().Add(s.For)
	for range s.Goroutines {
		all.Go(func() {
			own, failed := s.loop(ctx, lock, end)
			mu.Lock()
			defer mu.Unlock()
			total.Count += own.Count
			total.Longest = max(total.Longest, own.Longest)
			total.Times = append(total.Times, own.Times...)
			if err == nil {
				err = failed
			}
		})
	}
	all.Wait()
	return total, err
}

// loop uses the lock until the end.
func (s using) loop(ctx context.Context, lock *filelock.FileLock, end time.Time) (own uses, err error) {
	for {
		began := time.Now()
		if !began.Before(end) {
			return own, nil
		}
		if err := lock.Acquire(ctx); err != nil {
			return own, err
		}
		if err := lock.Unlock(); err != nil {
			return own, err
		}
		own.add(time.Since(began))
	}
}
