package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
)

var directories = Scenario{
	Name:  "directories",
	Title: "Large directories",
	Note: `Unrelated files stand beside the target. Who comes with a new ticket has to list
the directory, as every passage does with WithLinger(0); with a ticket that rests,
in a directory that has been left alone for some ticks of the clock, there is
nothing to list. WithQueueDir, here with WithLinger(0) too, gives the tickets a
directory of their own. One floor is the listing alone, another all the system calls
of a first passage.`,
	Beside: [2]string{"filelock-nolinger", "filelock-queuedir"},
	Compared: []report.Comparison{
		{Text: "The first use of a free lock beside 100,000 other files", Case: "disk, 100,000 files", Metric: passage.Name, Key: "filelock-nolinger"},
	},
	run: runDirectories,
}

func runDirectories(b *Bench) error {
	rs := append(rival.Select("filelock", "filelock-nolinger", "floor-file"), rival.GetdentsFloor)
	rs = append(rs, rival.Select("gofrs")...)
	b.name(rs...)
	b.name(rival.OursIn(""))
	for _, fs := range b.filesystems {
		if err := b.directories(fs, rs); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) directories(fs filesystem, rs []rival.Rival) (err error) {
	root, err := os.MkdirTemp(fs.dir, "directories-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	queues := filepath.Join(root, "queues")
	if err := os.Mkdir(queues, 0o777); err != nil {
		return err
	}
	many := b.pick(100_000, 10_000)
	var cs []*contestant
	for _, n := range []int{0, 1000, many} {
		kase := fmt.Sprintf("%s, %s files", fs.name, thousands(n))
		b.say("%s: creating them", kase)
		dir := filepath.Join(root, thousands(n))
		if err := fill(dir, n); err != nil {
			return err
		}
		for _, r := range append(rs[:len(rs):len(rs)], rival.OursIn(queues)) {
			c, err := contest(r, kase, filepath.Join(dir, "target-"+r.Key), 2*time.Millisecond)
			if err != nil {
				return err
			}
			if r.Key == report.Ours {
				c.warm = 3 * settling // the others' tickets were here just now, and the look for them takes long
			}
			cs = append(cs, c)
		}
	}
	err = b.rounds(fs.name, func(int) error { return b.alternate(cs, b.pick(2, 1)) })
	return errors.Join(err, done(cs))
}

func thousands(n int) string {
	switch {
	case n == 0:
		return "no other"
	case n < 1000:
		return fmt.Sprint(n)
	default:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
}

// fill makes a directory of n empty files.
func fill(dir string, n int) error {
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	for i := range n {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("unrelated-%06d.dat", i)))
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
