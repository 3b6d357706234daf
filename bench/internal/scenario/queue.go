package scenario

import (
	"fmt"
	"time"

	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

// queueUp is a holder with waiters behind it.
type queueUp struct {
	fleet   *worker.Fleet
	holder  *worker.Job
	waiters []*worker.Job
	n       int64 // passages
}

// startQueue has the fleet's first worker hold the lock, and ws ask for it:
// each in as many goroutines as there are times in at.
func startQueue(f *worker.Fleet, ws []*worker.Worker, r rival.Rival, path string, at func(worker int) []int64, hold time.Duration) (*queueUp, error) {
	f.Reset()
	q := &queueUp{fleet: f}
	var err error
	if q.holder, err = f.Workers[0].Hold(worker.Hold{Rival: r.Key, Path: path}); err != nil {
		return nil, err
	}
	if err := until(func() bool { return f.Held.Load() > 0 }); err != nil {
		return nil, fmt.Errorf("%s, the holder: %w", r.Key, err)
	}
	for i, w := range ws {
		times := at(i)
		j, err := w.Once(worker.Once{Rival: r.Key, Path: path, At: times, Hold: hold})
		if err != nil {
			return nil, err
		}
		q.waiters = append(q.waiters, j)
		q.n += int64(len(times))
	}
	return q, nil
}

// atOnce has n goroutines of each process ask at once.
func atOnce(n int) func(int) []int64 { return func(int) []int64 { return make([]int64, n) } }

// release lets the waiters through, and waits until the last one is.
func (q *queueUp) release() error {
	if err := q.holder.Release(); err != nil {
		return err
	}
	return until(func() bool { return q.fleet.Done.Load() == q.n })
}

// report returns when the holder left and what the waiters saw, process by
// process.
func (q *queueUp) report() (left int64, passages []worker.Passage, err error) {
	var h worker.Passage
	if err := q.holder.Report(&h); err != nil {
		return 0, nil, err
	}
	for _, j := range q.waiters {
		var ps []worker.Passage
		if err := j.Report(&ps); err != nil {
			return 0, nil, err
		}
		passages = append(passages, ps...)
	}
	return h.Left, passages, nil
}

// until waits for something that the shared page tells.
func until(done func() bool) error {
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(500 * time.Microsecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("not done after 30 s")
		}
	}
	return nil
}

// settle waits until the workers have come to rest, or, as pollers never do,
// for half a second.
func settle(ws []*worker.Worker) error {
	const look, rest = 25 * time.Millisecond, time.Millisecond
	last := time.Duration(-1)
	for range 20 {
		time.Sleep(look)
		now, err := worker.Sum(ws, (*worker.Worker).CPU)
		if err != nil {
			return err
		}
		if last >= 0 && now-last < rest {
			return nil
		}
		last = now
	}
	return nil
}
