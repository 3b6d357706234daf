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

var processes = Scenario{
	Name:  "processes",
	Title: "Processes",
	Note: `One goroutine in each acquires and releases as fast as it can. A hand-off is an
acquisition by another process than the last one; a lock whose releaser takes it
again at once has many acquisitions and few hand-offs. One floor is a token that
goes round the same processes through pipes, each blocked in read. Another is the
system calls of our free path, made by all at once in the same directory with no
waiting for one another. A third, "floor: queue", is our whole protocol in bare
calls: it excludes and keeps the order as ours does, but sees no death and cannot
be cancelled. "Worst-off process" is how far that one's acquisitions are from the
mean. A wake-up is a thread that went to sleep again, Go's monitor thread apart.`,
	Beside: [2]string{"gofrs", "floor-queue"},
	Compared: []report.Comparison{
		{Text: "The time until one of 16 processes hands over to another", Case: "disk, 16 processes", Metric: handoffTime.Name},
	},
	run: runProcesses,
}

// ringFloor and ringPoller are no locks, so they have no file among the rivals.
var (
	ringFloor  = rival.Rival{Key: "ring", Name: "floor: a token round a ring of pipes", Floor: true}
	ringPoller = rival.Rival{Key: "ring-poller", Name: "the same, waiting in Go's poller", Floor: true}
)

// processRivals are those that differ between processes of one goroutine.
func processRivals() []rival.Rival {
	return rival.Select("filelock", "gofrs", "gofrs-try1", "gofrs-try10", "gofrs-try100",
		"lockedfile", "filemutex", "juju", "nightlyone", "plain")
}

func runProcesses(b *Bench) error {
	rs := processRivals()
	b.name(rs...)
	b.name(ringFloor, ringPoller, rival.FileFloor, rival.QueueFloor)
	sizes := []int{2, 4, 16}
	var xs []float64
	var cases []string
	for _, n := range sizes {
		xs = append(xs, float64(n))
		cases = append(cases, processCase(b.disk(), n))
		if err := b.processes(n, rs); err != nil {
			return err
		}
	}
	b.curve("handoff", handoffTime.Name, append(rs[:len(rs):len(rs)], ringFloor, rival.FileFloor, rival.QueueFloor), xs, cases)
	return nil
}

func processCase(fs filesystem, n int) string { return fmt.Sprintf("%s, %d processes", fs.name, n) }

func (b *Bench) processes(n int, rs []rival.Rival) (err error) {
	f, err := worker.Start(n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lasts := b.ms(250, 80)
	waits := map[string]*stats.Histogram{}
	for _, fs := range b.filesystems {
		kase := processCase(fs, n)
		if fs != b.disk() {
			rs = rival.Select("filelock", "gofrs", "plain")
		}
		err := b.rounds(kase, func(round int) error {
			for _, r := range turn(round, append(rs[:len(rs):len(rs)], rival.FileFloor, rival.QueueFloor)) {
				var o outcome
				slept, err := sleeps(f, func() (err error) {
					o, err = contend(f, f.Workers, worker.Loop{Rival: r.Key, Path: fs.target(r.Key), Goroutines: 1}, lasts)
					return err
				})
				if err != nil {
					return err
				}
				if r.Key == rival.FileFloor.Key {
					b.add(kase, acquisitions, r.Key, sum(o.acquired)/lasts.Seconds())
					b.add(kase, handoffTime, r.Key, float64(lasts)/sum(o.acquired))
					continue
				}
				b.addOutcome(kase, r, o)
				b.add(kase, handoffTime, r.Key, float64(lasts)/o.handoffs)
				b.add(kase, wakeUps, r.Key, slept/o.handoffs)
				b.add(kase, worstOff, r.Key, stats.Spread(o.acquired))
				if fs != b.disk() || n != 16 {
					continue
				}
				if waits[r.Key] == nil {
					waits[r.Key] = new(stats.Histogram)
				}
				waits[r.Key].Merge(o.waits)
				if round == 0 {
					b.plotShares(r, o.acquired)
				}
			}
			return b.rings(f, kase, lasts)
		})
		if err != nil {
			return err
		}
	}
	if n == 16 {
		for _, r := range processRivals() {
			b.plotWaits(r, waits[r.Key])
		}
	}
	return nil
}

// rings measures both rings.
func (b *Bench) rings(f *worker.Fleet, kase string, lasts time.Duration) error {
	for _, of := range []rival.Rival{ringFloor, ringPoller} {
		var turns, elapsed float64
		slept, err := sleeps(f, func() (err error) {
			turns, elapsed, err = runRing(f, of.Key == ringPoller.Key, lasts)
			return err
		})
		if err != nil {
			return err
		}
		b.add(kase, acquisitions, of.Key, turns/elapsed*1e9)
		b.add(kase, handoffTime, of.Key, elapsed/turns)
		b.add(kase, wakeUps, of.Key, slept/turns)
	}
	return nil
}

// sleeps counts how often threads of the fleet go to sleep during f.
func sleeps(f *worker.Fleet, during func() error) (float64, error) {
	before, err := worker.Sum(f.Workers, (*worker.Worker).Switches)
	if err != nil {
		return 0, err
	}
	if err := during(); err != nil {
		return 0, err
	}
	after, err := worker.Sum(f.Workers, (*worker.Worker).Switches)
	return float64(after - before), err
}

// runRing has a token go round for a while. It returns how often it was passed
// on, and the nanoseconds that took.
func runRing(f *worker.Fleet, poller bool, lasts time.Duration) (turns, elapsed float64, err error) {
	begin := time.Now().Add(headStart(len(f.Workers)))
	var jobs []*worker.Job
	for i, w := range f.Workers {
		j, err := w.Ring(worker.Ring{
			First: i == 0, Poller: poller,
			Start: begin.UnixNano(), End: begin.Add(lasts).UnixNano(),
		})
		if err != nil {
			return 0, 0, err
		}
		jobs = append(jobs, j)
	}
	for i, j := range jobs {
		var r worker.RingResult
		if err := j.Report(&r); err != nil {
			return 0, 0, err
		}
		turns += r.Turns
		if i == 0 {
			elapsed = float64(r.Elapsed)
		}
	}
	return turns, elapsed, nil
}

func (b *Bench) plotShares(r rival.Rival, acquired []float64) {
	c := report.Curve{Plot: "shares", Contestant: r.Key}
	all := sum(acquired)
	for i, n := range acquired {
		c.X = append(c.X, float64(i))
		c.Y = append(c.Y, 100*n/all)
	}
	b.Run.Plot(c)
}

func (b *Bench) plotWaits(r rival.Rival, h *stats.Histogram) {
	if h == nil || h.N == 0 {
		return
	}
	c := report.Curve{Plot: "waits", Contestant: r.Key}
	ns, part := h.CDF()
	for i := range ns {
		c.X = append(c.X, ns[i]/1e3)
		c.Y = append(c.Y, 100*part[i])
	}
	b.Run.Plot(c)
}
