package scenario

import (
	"fmt"
	"time"

	"github.com/filelock-go/filelock/bench/internal/report"
	"github.com/filelock-go/filelock/bench/internal/rival"
)

// contestant is a rival with a lock of its own, used in this process.
type contestant struct {
	rival.Rival
	lock  rival.Lock
	kase  string
	batch int           // so many passages make a slice
	warm  time.Duration // for so long before each slice, unmeasured
	took  time.Duration
	n     int
}

// passage is the metric of uncontended passages.
var passage = report.Metric{Name: "Acquire + Unlock", Unit: report.Nanoseconds, Better: report.Less}

func contest(r rival.Rival, kase, path string, slice time.Duration) (*contestant, error) {
	l, err := r.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Key, err)
	}
	c := &contestant{Rival: r, lock: l, kase: kase}
	const few = 3
	if _, err = passes(l, few); err == nil {
		var took time.Duration
		took, err = passes(l, few)
		c.batch = int(slice/(took/few+1)) + 1
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", r.Key, err)
	}
	return c, err
}

func warmUp(l rival.Lock, d time.Duration) error {
	for began := time.Now(); time.Since(began) < d; {
		if _, err := passes(l, 1); err != nil {
			return err
		}
	}
	return nil
}

// alternate gives each contestant a short slice in turn, and many of them.
//
// Slices are short because an ext4 without a journal creates files more slowly
// the more were deleted of late: all are to meet the same backlog.
func (b *Bench) alternate(cs []*contestant, slices int) error {
	for _, c := range cs {
		c.took, c.n = 0, 0
	}
	for s := range slices {
		for _, c := range turn(s, cs) {
			err := warmUp(c.lock, c.warm)
			var took time.Duration
			if err == nil {
				took, err = passes(c.lock, c.batch)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", c.Key, err)
			}
			c.took += took
			c.n += c.batch
		}
	}
	for _, c := range cs {
		b.add(c.kase, passage, c.Key, float64(c.took)/float64(c.n))
	}
	return nil
}
