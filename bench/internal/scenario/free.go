package scenario

import (
	"os"
	"path/filepath"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
)

var free = Scenario{
	Name:  "free",
	Title: "The free lock",
	Note: `One goroutine acquires and releases a lock that nobody else wants. Ours
comes back to a ticket that rests, and the directory has been left alone for some
ticks of the clock; with WithLinger(0) every passage is a first one, with a ticket
of its own. On an
ext4 without a journal the creation of a file takes longer the more were deleted
of late, until that is written to the disk. So the row "after syncfs" has the same
with that done.`,
	Beside: [2]string{"filelock-nolinger", "floor-rest"},
	Compared: []report.Comparison{
		{Text: "A free lock, used again and again", Case: "disk", Metric: passage.Name},
		{Text: "The first use of a free lock", Case: "disk", Metric: passage.Name, Key: "filelock-nolinger"},
	},
	run: runFree,
}

// settling is how long a directory must have been left alone until its times tell
// whether anybody came: some ticks of the kernel's clock.
const settling = 40 * time.Millisecond

func runFree(b *Bench) error {
	rs := rival.Select("filelock", "floor-rest", "filelock-nolinger", "floor-file", "floor-flock", "gofrs", "mutex-gofrs", "gofrs-try10",
		"lockedfile", "filemutex", "juju", "nightlyone", "plain")
	b.name(rs...)
	for _, fs := range b.filesystems {
		cs, err := b.contestants(rs, fs, fs.name)
		if err != nil {
			return err
		}
		for _, c := range cs {
			c.warm = settling
		}
		if err := b.rounds(fs.name, func(int) error { return b.alternate(cs, b.pick(8, 3)) }); err != nil {
			return err
		}
		if err := done(cs); err != nil {
			return err
		}
	}
	if b.quick {
		return nil
	}
	return b.synced(b.disk())
}

// contestants are in a directory each: what changes in it makes ours look again.
func (b *Bench) contestants(rs []rival.Rival, fs filesystem, kase string) ([]*contestant, error) {
	var cs []*contestant
	for _, r := range rs {
		dir, err := os.MkdirTemp(fs.dir, r.Key+"-")
		if err != nil {
			return nil, err
		}
		c, err := contest(r, kase, filepath.Join(dir, "target"), 2*time.Millisecond)
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, nil
}

func done(cs []*contestant) error {
	for _, c := range cs {
		if err := c.lock.Close(); err != nil {
			return err
		}
	}
	return nil
}

// synced measures what somebody pays who locks now and then, where nobody
// deletes much.
func (b *Bench) synced(fs filesystem) error {
	kase := fs.name + ", after syncfs"
	cs, err := b.contestants(rival.Select("filelock", "floor-file", "gofrs"), fs, kase)
	if err != nil {
		return err
	}
	for _, c := range cs {
		c.batch = 1
	}
	err = b.rounds(kase, func(int) error { return b.alternate(cs, 100) })
	if err != nil {
		return err
	}
	return done(cs)
}
