package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
	"github.com/filelock-go/filelock/bench/internal/worker"
)

const (
	readers  = 8
	reads    = 10
	readTime = 20 * time.Millisecond
)

var readersTogether = Scenario{
	Name:  "readers",
	Title: "Readers",
	Note: `Eight processes hold the lock shared for 20 ms at a time (they sleep): ten times
each, by themselves; and for as long as it is measured, with one process beside
them that takes it exclusively for 1 ms and asks again 5 ms later. flock(2) lets
readers in while a writer waits.`,
	Beside: [2]string{"gofrs"},
	Compared: []report.Comparison{
		{Text: "8 processes that read 10 times for 20 ms each", Case: "disk, 8 readers", Metric: allReads.Name},
		{Text: "The longest wait of a writer amid 8 reading processes", Case: "disk, 8 readers and a writer", Metric: writerWait.Name},
	},
	run: runReaders,
}

var (
	allReads   = report.Metric{Name: "all reads", Unit: report.Nanoseconds, Better: report.Less}
	writerWait = report.Metric{Name: "the writer's longest wait", Unit: report.Nanoseconds, Better: report.Less}
	readRate   = report.Metric{Name: "reads per second", Unit: report.Count, Better: report.More}
	writes     = report.Metric{Name: "writes per second", Unit: report.Count, Better: report.More}
)

// pair is how one contestant reads and writes.
type pair struct {
	writer, reader rival.Rival
}

func runReaders(b *Bench) (err error) {
	writers := rival.Select("filelock", "gofrs")
	b.name(writers...)
	var pairs []pair
	for i, r := range rival.Readers() {
		pairs = append(pairs, pair{writers[i], r})
	}
	f, err := worker.Start(readers + 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, fs := range b.filesystems {
		kase := fmt.Sprintf("%s, %d readers", fs.name, readers)
		err := b.rounds(kase, func(round int) error {
			for _, p := range turn(round, pairs) {
				if err := b.readOnce(f, fs, p, kase); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		b.say("%s: filelock takes %.3f times as long as gofrs/flock", kase, b.Run.Ratio(b.scenario, kase, allReads.Name, "filelock", "gofrs"))
		kase += " and a writer"
		err = b.rounds(kase, func(round int) error {
			for _, p := range turn(round, pairs) {
				if err := b.readAndWriteOnce(f, fs, p, kase); err != nil {
					return err
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

// readOnce has all readers read, and notes how long that takes them together.
func (b *Bench) readOnce(f *worker.Fleet, fs filesystem, p pair, kase string) error {
	f.Reset()
	at := []int64{time.Now().Add(headStart(readers)).UnixNano()}
	var jobs []*worker.Job
	for _, w := range f.Workers[:readers] {
		j, err := w.Once(worker.Once{Rival: p.reader.Key, Path: fs.target(p.writer.Key), At: at, Hold: readTime, Again: reads - 1})
		if err != nil {
			return err
		}
		jobs = append(jobs, j)
	}
	last := int64(0)
	for _, j := range jobs {
		var ps []worker.Passage
		if err := j.Report(&ps); err != nil {
			return fmt.Errorf("%s: %w", p.reader.Key, err)
		}
		for _, passage := range ps {
			last = max(last, passage.Left)
		}
	}
	b.add(kase, allReads, p.writer.Key, float64(last-at[0]))
	return nil
}

// readAndWriteOnce has all readers read all the time, and one process write.
func (b *Bench) readAndWriteOnce(f *worker.Fleet, fs filesystem, p pair, kase string) error {
	lasts := b.ms(500, 300)
	f.Reset()
	begin := time.Now().Add(headStart(readers + 1))
	l := worker.Loop{Path: fs.target(p.writer.Key), Goroutines: 1, Start: begin.UnixNano(), End: begin.Add(lasts).UnixNano()}
	var jobs []*worker.Job
	for i, w := range f.Workers {
		if l.Rival, l.Hold, l.Gap, l.ID = p.reader.Key, readTime, time.Microsecond, i; i == readers {
			l.Rival, l.Hold, l.Gap = p.writer.Key, time.Millisecond, 5*time.Millisecond
		}
		j, err := w.Loop(l)
		if err != nil {
			return err
		}
		jobs = append(jobs, j)
	}
	read := 0.0
	for i, j := range jobs {
		var r worker.LoopResult
		if err := j.Report(&r); err != nil {
			return fmt.Errorf("%s: %w", p.writer.Key, err)
		}
		if i < readers {
			read += sum(r.Acquired)
		} else {
			b.add(kase, writerWait, p.writer.Key, float64(r.Longest))
			b.add(kase, writes, p.writer.Key, sum(r.Acquired)/lasts.Seconds())
		}
	}
	b.add(kase, readRate, p.writer.Key, read/lasts.Seconds())
	return nil
}
