package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

var cpu = Scenario{
	Name:  "cpu",
	Title: "What waiting costs",
	Note: `CPU time of 64 waiters while somebody holds for 5 s, once all of them are in the
queue. Those that do not poll are measured side by side; pollers one at a time
for half a second, times ten. The floor is processes, or goroutines, that wait
for nothing.`,
	Beside: [2]string{"gofrs-try10", "floor-idle"},
	Compared: []report.Comparison{
		{Text: "CPU time of 64 processes that wait for 5 s", Case: "64 processes", Metric: cpuTime.Name},
	},
	run: runCPU,
}

var cpuTime = report.Metric{Name: "CPU in 5 s", Unit: report.Nanoseconds, Better: report.Less}

const (
	cpuWaiters = 64
	cpuLasts   = 5 * time.Second
)

// waiting is one contestant's waiters, in a fleet of their own.
type waiting struct {
	rival.Rival
	kase    string
	fleet   *worker.Fleet
	perProc int
}

func runCPU(b *Bench) error {
	quiet := rival.Select("filelock", "floor-idle", "gofrs", "lockedfile", "filemutex", "juju")
	pollers := rival.Select("gofrs-try1", "gofrs-try10", "gofrs-try100", "nightlyone", "plain")
	b.name(quiet...)
	b.name(rival.Select("mutex-gofrs")...)
	b.name(pollers...)
	goroutines := append(rival.Select("mutex-gofrs"), quiet...)
	lasts := cpuLasts
	if b.quick {
		lasts = time.Second
	}
	if err := b.wait("waiters that sleep", lasts, quiet, goroutines); err != nil {
		return err
	}
	for _, r := range pollers {
		together := []rival.Rival{r}
		if r.Unsafe {
			together = nil // its goroutines do not wait
		}
		if err := b.wait(r.Name+", processes", cpuLasts/10, []rival.Rival{r}, nil); err != nil {
			return err
		}
		if err := b.wait(r.Name+", goroutines", cpuLasts/10, nil, together); err != nil {
			return err
		}
	}
	return nil
}

// wait measures some rivals at the same time, as processes and as goroutines.
func (b *Bench) wait(what string, lasts time.Duration, apart, together []rival.Rival) (err error) {
	var all []*waiting
	defer func() {
		for _, w := range all {
			err = errors.Join(err, w.fleet.Close())
		}
	}()
	add := func(r rival.Rival, kase string, processes int) error {
		f, err := worker.Start(processes + 1)
		if err != nil {
			return err
		}
		all = append(all, &waiting{r, kase, f, cpuWaiters / processes})
		return nil
	}
	for _, r := range apart {
		if err := add(r, fmt.Sprintf("%d processes", cpuWaiters), cpuWaiters); err != nil {
			return err
		}
	}
	for _, r := range together {
		if err := add(r, fmt.Sprintf("%d goroutines", cpuWaiters), 1); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	return b.rounds(what, func(int) error { return b.waitOnce(all, lasts) })
}

func (b *Bench) waitOnce(all []*waiting, lasts time.Duration) error {
	var queues []*queueUp
	var before []time.Duration
	for _, w := range all {
		q, err := w.start(b.disk().target(w.Key + w.kase))
		if err != nil {
			return err
		}
		queues = append(queues, q)
	}
	for _, w := range all {
		if err := settle(w.fleet.Workers[1:]); err != nil {
			return err
		}
	}
	for _, w := range all {
		used, err := worker.Sum(w.fleet.Workers[1:], (*worker.Worker).CPU)
		if err != nil {
			return err
		}
		before = append(before, used)
	}
	time.Sleep(lasts)
	for i, w := range all {
		used, err := worker.Sum(w.fleet.Workers[1:], (*worker.Worker).CPU)
		if err != nil {
			return err
		}
		b.add(w.kase, cpuTime, w.Key, float64(used-before[i])*float64(cpuLasts)/float64(lasts))
	}
	for i, w := range all {
		if err := w.end(queues[i]); err != nil {
			return fmt.Errorf("%s, %s: %w", w.Key, w.kase, err)
		}
	}
	return nil
}

func (w *waiting) start(path string) (*queueUp, error) {
	if w.Key == rival.Idle.Key {
		// Nobody holds what nobody waits for.
		w.fleet.Reset()
		q := &queueUp{fleet: w.fleet}
		for _, p := range w.fleet.Workers[1:] {
			j, err := p.Once(worker.Once{Rival: w.Key, Path: path, At: make([]int64, w.perProc)})
			if err != nil {
				return nil, err
			}
			q.waiters = append(q.waiters, j)
		}
		return q, nil
	}
	return startQueue(w.fleet, w.fleet.Workers[1:], w.Rival, path, atOnce(w.perProc), 0)
}

func (w *waiting) end(q *queueUp) error {
	if q.holder == nil {
		for _, j := range q.waiters {
			var none []worker.Passage
			if err := errors.Join(j.Cancel(), j.Report(&none)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := q.release(); err != nil {
		return err
	}
	_, _, err := q.report()
	return err
}
