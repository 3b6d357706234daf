package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

var resting = Scenario{
	Name:  "resting",
	Title: "A lock that is used now and then",
	Note: `First one process that uses a free lock at intervals: within the linger time (50
ms) its ticket rests in between. In the busy directory somebody else creates and
removes a file a thousand times a second. Then two processes that come at random
moments (Poisson), spin for 100 µs while they hold the lock, and together ask for so
much of its capacity: how long they wait.`,
	Beside: [2]string{"filelock-nolinger", "floor-rest"},
	Compared: []report.Comparison{
		{Text: "A free lock, used every 10 ms", Case: "disk, every 10 ms", Metric: passage.Name},
	},
	run: runResting,
}

func runResting(b *Bench) error {
	rs := rival.Select("filelock", "filelock-nolinger", "gofrs")
	withFloor := append(rs[:len(rs):len(rs)], rival.RestFloor)
	b.name(withFloor...)
	var xs []float64
	var cases []string
	for _, fs := range b.filesystems {
		for _, every := range []time.Duration{
			time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
		} {
			kase := fmt.Sprintf("%s, every %s", fs.name, report.Format(float64(every), report.Nanoseconds))
			if err := b.atIntervals(fs, withFloor, kase, every); err != nil {
				return err
			}
			if fs == b.disk() {
				xs, cases = append(xs, float64(every)/1e3), append(cases, kase)
			}
		}
		if err := b.busyDirectory(fs, rs); err != nil {
			return err
		}
	}
	b.curve("resting", passage.Name, withFloor, xs, cases)
	return b.atRandom(rs)
}

// atIntervals measures passages with pauses between them.
func (b *Bench) atIntervals(fs filesystem, rs []rival.Rival, kase string, every time.Duration) error {
	cs, err := b.contestants(rs, fs, kase)
	if err != nil {
		return err
	}
	n := max(3, min(int(time.Duration(b.pick(200, 50))*time.Millisecond/every), 2000))
	err = b.rounds(kase, func(round int) error {
		for _, c := range turn(round, cs) {
			var took time.Duration
			for range n {
				pause(every)
				one, err := passes(c.lock, 1)
				if err != nil {
					return fmt.Errorf("%s: %w", c.Key, err)
				}
				took += one
			}
			b.add(kase, passage, c.Key, float64(took)/float64(n))
		}
		return nil
	})
	return errors.Join(err, done(cs))
}

// pause sleeps, or spins where that is more exact.
func pause(d time.Duration) {
	const spin = time.Millisecond
	until := time.Now().Add(d)
	if d > spin {
		time.Sleep(d - spin)
	}
	for time.Now().Before(until) {
	}
}

// busyDirectory measures passages without pauses, where the directory changes all
// the time.
func (b *Bench) busyDirectory(fs filesystem, rs []rival.Rival) (err error) {
	kase := fs.name + ", busy directory"
	dir, err := os.MkdirTemp(fs.dir, "busy-")
	if err != nil {
		return err
	}
	var cs []*contestant
	for _, r := range rs {
		c, err := contest(r, kase, filepath.Join(dir, "target-"+r.Key), 5*time.Millisecond)
		if err != nil {
			return err
		}
		cs = append(cs, c)
	}
	stop, stopped := make(chan bool), make(chan error, 1)
	go func() { stopped <- keepBusy(dir, stop) }()
	err = b.rounds(kase, func(int) error { return b.alternate(cs, b.pick(10, 3)) })
	close(stop)
	return errors.Join(err, <-stopped, done(cs))
}

func keepBusy(dir string, stop chan bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	name := filepath.Join(dir, "somebody-elses")
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		f, err := os.Create(name)
		if err == nil {
			err = errors.Join(f.Close(), os.Remove(name))
		}
		if err != nil {
			return err
		}
	}
}

// atRandom has two processes come at random moments.
func (b *Bench) atRandom(rs []rival.Rival) (err error) {
	const processes, hold = 2, 100 * time.Microsecond
	f, err := worker.Start(processes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, fs := range b.filesystems {
		for _, load := range []int{1, 10, 50} {
			kase := fmt.Sprintf("%s, 2 processes at %d %%", fs.name, load)
			gap := processes * hold * 100 / time.Duration(load)
			err := b.rounds(kase, func(round int) error {
				for _, r := range turn(round, rs) {
					o, err := contend(f, f.Workers, worker.Loop{
						Rival: r.Key, Path: fs.target(strings.ReplaceAll(r.Key, " ", "-")), Goroutines: 1, Hold: hold, Spin: true, Gap: gap,
					}, b.ms(1000, 200))
					if err != nil {
						return err
					}
					b.addOutcome(kase, r, o)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
