package scenario

import (
	"errors"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

var goroutines = Scenario{
	Name:  "goroutines",
	Title: "Goroutines of one process",
	Note: `All acquire and release as fast as they can, with nothing between. The longest
wait counts those that were not over at the end. Jain's index is of the
acquisitions by goroutine. The floor is a first come, first served line of
channels in memory, so it shows what the scheduler's switches alone take, and
how long they make somebody wait at the worst.`,
	Beside: [2]string{"mutex-gofrs", "floor-channels"},
	Compared: []report.Comparison{
		{Text: "Acquisitions by 64 goroutines of a process", Case: "disk, 64 goroutines", Metric: acquisitions.Name},
	},
	run: runGoroutines,
}

func runGoroutines(b *Bench) (err error) {
	rs := append(rival.All(), rival.ChannelFloor)
	b.name(rs...)
	// Each rival has a process to itself, so that the threads of one do not
	// slow the next.
	fleets := map[string]*worker.Fleet{}
	defer func() {
		for _, f := range fleets {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, r := range rs {
		if fleets[r.Key], err = worker.Start(1); err != nil {
			return err
		}
	}
	sizes := []int{1, 8, 64, 512}
	var xs []float64
	var cases []string
	for i, fs := range b.filesystems {
		for _, n := range sizes {
			if i > 0 && n != 64 {
				continue
			}
			kase := fs.name + ", " + several(n, "goroutine")
			if i == 0 {
				xs, cases = append(xs, float64(n)), append(cases, kase)
			}
			err := b.rounds(kase, func(round int) error {
				for _, r := range turn(round, rs) {
					f := fleets[r.Key]
					o, err := contend(f, f.Workers, worker.Loop{
						Rival: r.Key, Path: fs.target(r.Key), Goroutines: n,
					}, b.ms(200, 60))
					if err != nil {
						return err
					}
					b.addOutcome(kase, r, o)
					if n > 1 && o.waits.N > 0 {
						b.add(kase, longestRatio, r.Key, o.longest/o.waits.Quantile(0.5))
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	b.curve("throughput", acquisitions.Name, rs, xs, cases)
	return nil
}
