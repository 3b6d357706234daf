package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/filelock-go/filelock/bench/internal/stats"
)

// Loop acquires and releases from Start to End, both in nanoseconds since
// 1970, in several goroutines.
type Loop struct {
	Rival, Path string
	ID          int // of this process; goroutines count on from it
	Goroutines  int
	Hold        time.Duration
	Spin        bool          // while it holds; else it sleeps
	Gap         time.Duration // the mean pause before each time, drawn at random; 0: none
	Start, End  int64
}

// LoopResult is what came of a Loop.
type LoopResult struct {
	Acquired []float64       // by each goroutine
	Waits    stats.Histogram // of those acquisitions
	// Longest is the longest wait, those that were not over at the end
	// included.
	Longest int64
	// Held is for how long the lock was held, in all; 0 if it was held for no
	// time on purpose.
	Held int64
}

// loopGoroutine is one goroutine's part of it.
type loopGoroutine struct {
	acquired      int
	waits         stats.Histogram
	longest, held int64
}

func (s *server) loop(ctx context.Context, l Loop) (LoopResult, error) {
	ctx, cancel := context.WithDeadline(ctx, time.Unix(0, l.End))
	defer cancel()
	parts := make([]loopGoroutine, l.Goroutines)
	err := each(l.Goroutines, func(i int) error { return s.loopOne(ctx, l, l.ID+i, &parts[i]) })
	if err != nil {
		return LoopResult{}, err
	}
	var r LoopResult
	for _, p := range parts {
		p.waits.Seal()
		r.Waits.Merge(p.waits)
		r.Acquired = append(r.Acquired, float64(p.acquired))
		r.Longest = max(r.Longest, p.longest)
		r.Held += p.held
	}
	return r, nil
}

func (s *server) loopOne(ctx context.Context, l Loop, id int, g *loopGoroutine) error {
	lock, err := s.handles.open(l.Rival, l.Path)
	if err != nil {
		return err
	}
	defer s.handles.done(lock)
	start, end := time.Unix(0, l.Start), time.Unix(0, l.End)
	time.Sleep(time.Until(start))
	rng := rand.New(rand.NewPCG(uint64(l.Start), uint64(id)))
	for {
		if l.Gap > 0 {
			spinUntil(time.Now().Add(time.Duration(rng.ExpFloat64() * float64(l.Gap))))
		}
		asked := time.Now()
		err := lock.Lock(ctx)
		got := time.Now()
		g.longest = max(g.longest, int64(got.Sub(asked)))
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if got.After(end) {
			return lock.Unlock()
		}
		s.page.Enter(id)
		if l.Hold > 0 {
			if l.Spin {
				spinUntil(got.Add(l.Hold))
			} else {
				time.Sleep(l.Hold)
			}
			g.held += int64(earlier(time.Now(), end).Sub(got))
		}
		s.page.Leave()
		if err := lock.Unlock(); err != nil {
			return err
		}
		g.acquired++
		g.waits.Add(int64(got.Sub(asked)))
	}
}

// spinUntil is exact to a microsecond; it sleeps first if there is time.
func spinUntil(at time.Time) {
	const rough = 2 * time.Millisecond
	if d := time.Until(at); d > rough {
		time.Sleep(d - rough)
	}
	for time.Now().Before(at) {
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
