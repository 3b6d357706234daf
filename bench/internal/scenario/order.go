package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/stats"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

var order = Scenario{
	Name:  "order",
	Title: "Who comes first is served first",
	Note: `16 waiters arrive one after the other behind a holder, and hold 1 ms each. Of
their 120 pairs, so many were served in the other order, not counting those that
asked within a millisecond.`,
	Beside: [2]string{"gofrs", "gofrs-try10"},
	Compared: []report.Comparison{
		{Text: "Pairs of 16 processes, of 120, that were served in the wrong order", Case: "processes 4 ms apart", Metric: inversions.Name},
	},
	run: runOrder,
}

var inversions = report.Metric{Name: "inversions", Unit: report.Count, Better: report.Less}

const arrivals = 16

func runOrder(b *Bench) (err error) {
	f, err := worker.Start(arrivals + 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	apart := processRivals()
	together := append(rival.Select("mutex-gofrs"), apart...)
	b.name(together...)
	for _, gap := range []time.Duration{4 * time.Millisecond, 20 * time.Millisecond} {
		kase := fmt.Sprintf("processes %d ms apart", gap.Milliseconds())
		err := b.rounds(kase, func(round int) error {
			for _, r := range turn(round, apart) {
				if err := b.arrive(f, f.Workers[1:], r, kase, gap); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	const kase, gap = "goroutines 4 ms apart", 4 * time.Millisecond
	return b.rounds(kase, func(round int) error {
		for _, r := range turn(round, together) {
			if r.Unsafe {
				continue
			}
			if err := b.arrive(f, f.Workers[1:2], r, kase, gap); err != nil {
				return err
			}
		}
		return nil
	})
}

// arrive has the waiters come from ws, as many from each.
func (b *Bench) arrive(f *worker.Fleet, ws []*worker.Worker, r rival.Rival, kase string, gap time.Duration) error {
	first := time.Now().Add(20 * time.Millisecond)
	each := arrivals / len(ws)
	q, err := startQueue(f, ws, r, b.disk().target(r.Key), func(i int) []int64 {
		at := make([]int64, each)
		for j := range at {
			at[j] = first.Add(time.Duration(i*each+j) * gap).UnixNano()
		}
		return at
	}, time.Millisecond)
	if err != nil {
		return err
	}
	time.Sleep(time.Until(first.Add(arrivals*gap + 10*time.Millisecond)))
	if err := q.release(); err != nil {
		return fmt.Errorf("%s: %w", r.Key, err)
	}
	_, passages, err := q.report()
	if err != nil {
		return fmt.Errorf("%s: %w", r.Key, err)
	}
	var asked, served []int64
	for _, p := range passages {
		asked, served = append(asked, p.Asked), append(served, p.Got)
	}
	b.add(kase, inversions, r.Key, float64(stats.Inversions(asked, served, int64(time.Millisecond))))
	return nil
}
