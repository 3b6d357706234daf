package worker

import (
	"context"
	"time"
)

// Once passes the lock once in each of several goroutines, or some times more.
type Once struct {
	Rival, Path string
	At          []int64 // when each goroutine asks, in nanoseconds since 1970
	Hold        time.Duration
	Again       int // how many times more, one right after the other
}

// Passage is when a lock was asked for, got and given back.
type Passage struct{ Asked, Got, Left int64 }

func (s *server) once(ctx context.Context, o Once) ([]Passage, error) {
	passages := make([]Passage, len(o.At)*(1+o.Again))
	err := each(len(o.At), func(i int) error {
		lock, err := s.handles.open(o.Rival, o.Path)
		if err != nil {
			return err
		}
		defer s.handles.done(lock)
		time.Sleep(time.Until(time.Unix(0, o.At[i])))
		own := passages[i*(1+o.Again):][:1+o.Again]
		for n := range own {
			own[n], err = s.pass(ctx, lock.Lock, lock.Unlock, o.Hold)
			if err != nil || ctx.Err() != nil {
				break
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	return passages, err
}

func (s *server) pass(ctx context.Context, lock func(context.Context) error, unlock func() error, hold time.Duration) (Passage, error) {
	asked := time.Now()
	if err := lock(ctx); err != nil {
		return Passage{}, err
	}
	got := time.Now()
	s.page.Enter(0)
	if hold > 0 {
		time.Sleep(hold)
	}
	s.page.Leave()
	left := time.Now()
	err := unlock()
	s.page.Done.Add(1)
	return Passage{asked.UnixNano(), got.UnixNano(), left.UnixNano()}, err
}

// Hold acquires, and keeps the lock until it is told to release it. Its result
// is a Passage.
type Hold struct{ Rival, Path string }

func (s *server) hold(ctx context.Context, h Hold, release <-chan struct{}) (Passage, error) {
	lock, err := s.handles.open(h.Rival, h.Path)
	if err != nil {
		return Passage{}, err
	}
	defer s.handles.done(lock)
	asked := time.Now()
	if err := lock.Lock(ctx); err != nil {
		return Passage{}, err
	}
	got := time.Now()
	s.page.Held.Add(1)
	<-release
	left := time.Now()
	err = lock.Unlock()
	return Passage{asked.UnixNano(), got.UnixNano(), left.UnixNano()}, err
}
