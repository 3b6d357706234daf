package scenario

import (
	"errors"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

var hold = Scenario{
	Name:  "hold",
	Title: "How much of the time the lock is held",
	Note: `16 processes, each holding for the given time (it sleeps). What is missing from
100 % is hand-offs, and pollers asleep while the lock is free. Over 100 % is two
inside at once. A time of 0 is the scenario before this.`,
	Beside: [2]string{"gofrs", "gofrs-try10"},
	Compared: []report.Comparison{
		{Text: "The part of the time that a lock is held which 16 processes want for 1 ms each", Case: "disk, 16 processes, 1 ms", Metric: heldPart.Name},
	},
	run: runHold,
}

func runHold(b *Bench) (err error) {
	all := processRivals()
	b.name(all...)
	f, err := worker.Start(16)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var xs []float64
	var cases []string
	for _, fs := range b.filesystems {
		rs, lasts := all, b.ms(400, 150)
		if fs != b.disk() {
			rs, lasts = rival.Select("filelock", "gofrs", "gofrs-try10"), b.ms(250, 150)
		}
		for _, h := range []time.Duration{100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond} {
			kase := fs.name + ", 16 processes, " + holdName(h)
			if fs == b.disk() {
				xs, cases = append(xs, float64(h)/1e3), append(cases, kase)
			}
			err := b.rounds(kase, func(round int) error { return b.holdOnce(f, fs, turn(round, rs), kase, h, lasts) })
			if err != nil {
				return err
			}
		}
	}
	b.curve("held", heldPart.Name, all, xs, cases)
	return nil
}

// holdOnce gives each rival one slice.
func (b *Bench) holdOnce(f *worker.Fleet, fs filesystem, rs []rival.Rival, kase string, h, lasts time.Duration) error {
	for _, r := range rs {
		o, err := contend(f, f.Workers, worker.Loop{
			Rival: r.Key, Path: fs.target(r.Key), Goroutines: 1, Hold: h,
		}, lasts)
		if err != nil {
			return err
		}
		b.add(kase, heldPart, r.Key, o.held/float64(lasts))
		b.add(kase, longestWait, r.Key, o.longest)
		if r.Unsafe || o.overlaps > 0 {
			b.add(kase, overlaps, r.Key, o.overlaps)
		}
	}
	return nil
}

func holdName(d time.Duration) string {
	if d < time.Millisecond {
		return "100 µs"
	}
	return d.String()[:len(d.String())-2] + " ms"
}
