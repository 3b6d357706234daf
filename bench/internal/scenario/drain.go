package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

var drain = Scenario{
	Name:  "drain",
	Title: "Queues that drain",
	Note: `Waiters gather behind a holder in another process; it releases, and each of them
passes the lock on at once. A wake-up is a thread of a waiting process that went
to sleep again, for whatever reason; Go's monitor thread does not count. Descriptors, threads and bytes are what each
waiter adds to an idle process. Linux lets a user have 128 inotify instances by
default; 200 processes that wait on one lock are more.`,
	Beside: [2]string{"gofrs", "gofrs-try10"},
	Compared: []report.Comparison{
		{Text: "The time for each hand-off when 200 waiting processes drain", Case: "200 processes", Metric: handoffTime.Name},
	},
	run: runDrain,
}

var (
	wakeUps     = report.Metric{Name: "wake-ups per hand-off", Unit: report.Count, Better: report.Less}
	descriptors = report.Metric{Name: "descriptors per waiter", Unit: report.Count, Better: report.Less}
	threads     = report.Metric{Name: "threads per waiter", Unit: report.Count, Better: report.Less}
	heapBytes   = report.Metric{Name: "heap and stack per waiter", Unit: report.Bytes, Better: report.Less}
)

func runDrain(b *Bench) error {
	if err := b.drainGoroutines(); err != nil {
		return err
	}
	return b.drainProcesses()
}

// drainer is one rival's fleet: a holder and processes that wait. Where they
// are the rival's alone, it is known what they took before.
type drainer struct {
	rival.Rival
	fleet *worker.Fleet
	idle  *footprint
}

// footprint is what a process takes.
type footprint struct{ descriptors, threads, bytes float64 }

func (b *Bench) drainGoroutines() (err error) {
	rs := rival.Select("filelock", "filelock-nobatch", "gofrs", "mutex-gofrs", "gofrs-try10", "lockedfile", "filemutex", "juju")
	b.name(rs...)
	var ds []*drainer
	defer func() {
		for _, d := range ds {
			err = errors.Join(err, d.fleet.Close())
		}
	}()
	for _, r := range rs {
		f, err := worker.Start(2)
		if err != nil {
			return err
		}
		d := &drainer{Rival: r, fleet: f}
		ds = append(ds, d)
		if d.idle, err = takes(f.Workers[1]); err != nil {
			return err
		}
	}
	var xs []float64
	var cases []string
	// The first one shows what a process adds that waits.
	for _, n := range []int{1, 10, 100, 1000} {
		kase := several(n, "goroutine")
		xs, cases = append(xs, float64(n)), append(cases, kase)
		err := b.rounds(kase, func(round int) error {
			for _, d := range turn(round, ds) {
				if err := b.drainOnce(d, kase, d.fleet.Workers[1:], n); err != nil {
					return fmt.Errorf("%s: %w", d.Key, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.curve("drain", handoffTime.Name, rs, xs, cases)
	return nil
}

func (b *Bench) drainProcesses() (err error) {
	rs := rival.Select("filelock", "gofrs", "gofrs-try10", "lockedfile", "filemutex", "juju")
	b.name(rs...)
	sizes := []int{10, 200}
	f, err := worker.Start(sizes[len(sizes)-1] + 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, n := range sizes {
		kase := fmt.Sprintf("%d processes", n)
		ws := f.Workers[1 : n+1]
		err := b.rounds(kase, func(round int) error {
			for _, r := range turn(round, rs) {
				d := &drainer{Rival: r, fleet: f}
				if err := b.drainOnce(d, kase, ws, 1); err != nil {
					return fmt.Errorf("%s: %w", r.Key, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// drainOnce queues n goroutines in each of ws and lets them through.
func (b *Bench) drainOnce(d *drainer, kase string, ws []*worker.Worker, n int) error {
	waiters := float64(n * len(ws))
	q, err := startQueue(d.fleet, ws, d.Rival, b.disk().target(d.Key), atOnce(n), 0)
	if err != nil {
		return err
	}
	if err := settle(ws); err != nil {
		return err
	}
	if err := b.addFootprint(d, kase, ws[0], waiters); err != nil {
		return err
	}
	slept, err := worker.Sum(ws, (*worker.Worker).Switches)
	if err != nil {
		return err
	}
	if err := q.release(); err != nil {
		return err
	}
	time.Sleep(20 * time.Millisecond) // until all are back to sleep
	sleptThen, err := worker.Sum(ws, (*worker.Worker).Switches)
	if err != nil {
		return err
	}
	left, passages, err := q.report()
	if err != nil {
		return err
	}
	last := left
	for _, p := range passages {
		last = max(last, p.Got)
	}
	b.add(kase, handoffTime, d.Key, float64(last-left)/waiters)
	b.add(kase, wakeUps, d.Key, float64(sleptThen-slept)/waiters)
	return nil
}

// addFootprint notes what each waiter adds to a process.
func (b *Bench) addFootprint(d *drainer, kase string, w *worker.Worker, waiters float64) error {
	if d.idle == nil {
		return nil
	}
	now, err := takes(w)
	if err != nil {
		return err
	}
	b.add(kase, descriptors, d.Key, (now.descriptors-d.idle.descriptors)/waiters)
	b.add(kase, threads, d.Key, (now.threads-d.idle.threads)/waiters)
	b.add(kase, heapBytes, d.Key, max(0, now.bytes-d.idle.bytes)/waiters)
	return nil
}

// takes returns what a process takes.
func takes(w *worker.Worker) (*footprint, error) {
	m, err := w.Memory()
	if err != nil {
		return nil, err
	}
	fds, err := w.Descriptors()
	if err != nil {
		return nil, err
	}
	ts, err := w.Threads()
	return &footprint{descriptors: float64(fds), threads: float64(ts), bytes: m.Heap + m.Stacks}, err
}
