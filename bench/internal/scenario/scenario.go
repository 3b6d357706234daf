// Package scenario is what is measured, a file for each situation.
//
// Every comparison alternates within one round, and there are several rounds,
// so that whatever else the machine does falls on all alike; ratios are made
// within a round.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
)

// Scenario is one situation.
type Scenario struct {
	Name, Title, Note string
	Beside            [2]string // see report.Section
	Compared          []report.Comparison
	run               func(*Bench) error
}

// All returns the scenarios in the order in which they run. The one that
// leaves most behind in the filesystem is last.
func All() []Scenario {
	return []Scenario{free, resting, goroutines, processes, hold, readersTogether, order, cpu, kill, drain, command, directories}
}

// Config says how to run.
type Config struct {
	Disk, Shm string         // where to work; an empty Shm is left out
	Only      *regexp.Regexp // the names of the scenarios to run; nil is all
	Quick     bool
	Progress  io.Writer
}

// Run runs the scenarios and returns what they measured.
func Run(c Config) (_ *report.Run, err error) {
	b := &Bench{Run: report.New(c.Quick), quick: c.Quick, progress: c.Progress, began: time.Now()}
	for _, at := range []struct{ name, dir string }{{"disk", c.Disk}, {"tmpfs", c.Shm}} {
		if at.dir == "" {
			continue
		}
		dir, err := os.MkdirTemp(at.dir, "filelock-bench-")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		b.filesystems = append(b.filesystems, filesystem{at.name, dir})
		b.Run.Filesystems = append(b.Run.Filesystems, report.FilesystemAt(at.name, dir))
	}
	defer b.cleanUpOnSignal()()
	for _, s := range All() {
		if c.Only != nil && !c.Only.MatchString(s.Name) {
			continue
		}
		b.scenario = s.Name
		b.Run.Describe(report.Section{
			Scenario: s.Name, Title: s.Title, Note: s.Note, Beside: s.Beside, Compared: s.Compared,
		})
		if err := s.run(b); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	b.Run.Finish()
	return b.Run, nil
}

// Bench is a run in progress.
type Bench struct {
	Run *report.Run

	filesystems []filesystem
	quick       bool
	progress    io.Writer
	began       time.Time
	scenario    string
}

// filesystem is a directory to work in, and the name of its kind.
type filesystem struct{ name, dir string }

// target returns a path for a contestant's lock.
func (f filesystem) target(key string) string { return filepath.Join(f.dir, "target-"+key) }

// cleanUpOnSignal has an interrupted run remove what it made.
func (b *Bench) cleanUpOnSignal() (stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, unix.SIGTERM)
	go func() {
		if _, ok := <-c; !ok {
			return
		}
		for _, fs := range b.filesystems {
			os.RemoveAll(fs.dir) // as far as it goes
		}
		os.Exit(1)
	}()
	return func() {
		signal.Stop(c)
		close(c)
	}
}

func (b *Bench) disk() filesystem { return b.filesystems[0] }

// rounds calls f for each round, the disk being at rest: deletions that wait to
// be written slow the creation of files on some.
func (b *Bench) rounds(what string, f func(round int) error) error {
	n := b.pick(5, 1)
	for i := range n {
		b.say("%s, round %d of %d", what, i+1, n)
		if err := syncfs(b.disk().dir); err != nil {
			return err
		}
		if err := f(i); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// syncfs writes a filesystem to its disk.
func syncfs(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

func (b *Bench) say(format string, args ...any) {
	took := time.Since(b.began).Truncate(time.Second)
	fmt.Fprintf(b.progress, "%6s  %-11s %s\n", took, b.scenario, fmt.Sprintf(format, args...))
}

// pick returns one number for full runs and another for quick ones.
func (b *Bench) pick(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}

func (b *Bench) ms(full, quick int) time.Duration {
	return time.Duration(b.pick(full, quick)) * time.Millisecond
}

// add notes one round's figure.
func (b *Bench) add(kase string, m report.Metric, contestant string, x float64) {
	b.Run.Add(b.scenario, kase, m, contestant, x)
}

// name introduces rivals to the tables.
func (b *Bench) name(rs ...rival.Rival) {
	for _, r := range rs {
		b.Run.Name(report.Contestant{Key: r.Key, Name: r.Name, Short: short(r), Floor: r.Floor, Unsafe: r.Unsafe})
	}
}

// curve adds the medians of a metric as a line for each rival: at xs, under
// these conditions.
func (b *Bench) curve(plot, metric string, rs []rival.Rival, xs []float64, cases []string) {
	for _, r := range rs {
		c := report.Curve{Plot: plot, Contestant: r.Key}
		for i, x := range xs {
			if v := b.Run.Find(b.scenario, cases[i], metric, r.Key); v != nil {
				c.X = append(c.X, x)
				c.Y = append(c.Y, b.Run.Median(b.scenario, cases[i], metric, r.Key)*scale(v.Metric.Unit))
			}
		}
		b.Run.Plot(c)
	}
}

// scale is for the axes, which count microseconds and per cent.
func scale(u report.Unit) float64 {
	switch u {
	case report.Nanoseconds:
		return 1e-3
	case report.Part:
		return 100
	default:
		return 1
	}
}

// turn returns xs, backwards in every other round, so that nobody always
// follows the same one.
func turn[T any](round int, xs []T) []T {
	if round%2 == 0 {
		return xs
	}
	back := slices.Clone(xs)
	slices.Reverse(back)
	return back
}

// passes times n uncontended passages.
func passes(l rival.Lock, n int) (time.Duration, error) {
	ctx := context.Background()
	began := time.Now()
	for range n {
		if err := l.Lock(ctx); err != nil {
			return 0, err
		}
		if err := l.Unlock(); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
