package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

var kill = Scenario{
	Name:  "kill",
	Title: "From kill -9 to the next holder",
	Note: `A holder is killed while one process waits. The plain rule never recovers by
itself and is left out.`,
	Beside: [2]string{"gofrs", "gofrs-try10"},
	Compared: []report.Comparison{
		{Text: "From the kill -9 of a holder to the next holder", Case: "disk", Metric: killTime.Name},
	},
	run: runKill,
}

var (
	killTime  = report.Metric{Name: "kill to next holder", Unit: report.Nanoseconds, Better: report.Less}
	killWorst = report.Metric{Name: "the worst", Unit: report.Nanoseconds, Better: report.Less}
)

func runKill(b *Bench) (err error) {
	var rs []rival.Rival
	for _, r := range processRivals() {
		if r.Recovers {
			rs = append(rs, r)
		}
	}
	b.name(rs...)
	fleets := map[string]*worker.Fleet{}
	defer func() {
		for _, f := range fleets {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, r := range rs {
		if fleets[r.Key], err = worker.Start(2); err != nil {
			return err
		}
	}
	fs := b.disk()
	n := b.pick(50, 10)
	for i := range n {
		if i%10 == 0 {
			b.say("%d of %d", i, n)
		}
		for _, r := range turn(i, rs) {
			took, err := killOnce(fleets[r.Key], r, fs.target(r.Key))
			if err != nil {
				return fmt.Errorf("%s: %w", r.Key, err)
			}
			b.add(fs.name, killTime, r.Key, float64(took))
		}
	}
	for _, r := range rs {
		b.add(fs.name, killWorst, r.Key, b.Run.Worst(b.scenario, fs.name, killTime.Name, r.Key))
	}
	return nil
}

func killOnce(f *worker.Fleet, r rival.Rival, path string) (time.Duration, error) {
	q, err := startQueue(f, f.Workers[1:], r, path, atOnce(1), 0)
	if err != nil {
		return 0, err
	}
	time.Sleep(15 * time.Millisecond) // until it waits
	at, err := f.Workers[0].Kill()
	if err != nil {
		return 0, err
	}
	var ps []worker.Passage
	if err := q.waiters[0].Report(&ps); err != nil {
		return 0, err
	}
	return time.Duration(ps[0].Got - at.UnixNano()), f.Restart(0)
}
