// Package memengine is an engine in memory: for tests of what uses locks, alone or
// in a bubble of testing/synctest, and of what happens when a lock service fails.
//
// A Service stands for the service, and each Engine for a machine's way to it,
// which can be cut, slow or one-way. All times are those of package time, and
// nothing happens at random, so that a test in a bubble is the same every time.
package memengine

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/filelock-go/filelock/engine"
)

// Service is a lock service. It is safe for use by several goroutines; the zero
// value is ready to use, and must not be copied.
type Service struct {
	mu       sync.Mutex
	queues   map[string][]*place // in order; none is empty
	revision uint64
	longest  time.Duration
}

// place is one contender's in a queue.
type place struct {
	contender engine.Contender
	queue     string
	end       time.Time // of its lease
	expiry    *time.Timer
	gone      chan struct{} // closed when it is no more
}

// LimitLeases has leases granted for no longer than that from now on, whatever is
// asked for. Zero is no limit.
func (s *Service) LimitLeases(longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.longest = longest
}

// Queued returns how many contenders are in the queue of a name.
func (s *Service) Queued(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queues[name])
}

// named returns a contender's name, which no other one in the queue has now. s.mu is held.
func (s *Service) named(queue, start string) string {
	for n := 1; ; n++ {
		name := fmt.Sprint(start, n)
		if !slices.ContainsFunc(s.queues[queue], func(p *place) bool { return p.contender.ID == name }) {
			return name
		}
	}
}

// join adds a place. s.mu is held.
func (s *Service) join(queue string, c engine.Contender) *place {
	if s.longest > 0 {
		c.Lease = min(c.Lease, s.longest)
	}
	s.revision++
	c.Serial = s.revision
	c.ID = s.named(queue, c.ID)
	p := &place{contender: c, queue: queue, end: time.Now().Add(c.Lease), gone: make(chan struct{})}
	p.expiry = time.AfterFunc(c.Lease, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !time.Now().Before(p.end) { // else it was renewed meanwhile
			s.remove(p)
		}
	})
	if s.queues == nil {
		s.queues = map[string][]*place{}
	}
	s.queues[queue] = append(s.queues[queue], p)
	return p
}

// remove takes a place away, and reports whether it was there. s.mu is held.
func (s *Service) remove(p *place) bool {
	i := slices.Index(s.queues[p.queue], p)
	if i < 0 {
		return false
	}
	p.expiry.Stop()
	rest := slices.Delete(s.queues[p.queue], i, i+1)
	if s.queues[p.queue] = rest; len(rest) == 0 {
		delete(s.queues, p.queue)
	}
	close(p.gone)
	return true
}

// renew has p's lease start anew, and reports whether it was there. s.mu is held.
func (s *Service) renew(p *place) bool {
	if !slices.Contains(s.queues[p.queue], p) {
		return false
	}
	p.end = time.Now().Add(p.contender.Lease)
	p.expiry.Reset(p.contender.Lease)
	return true
}

// ahead returns the places ahead of p, or of one who would come now, in order, and
// the nearest that it has to wait for, if any. s.mu is held.
func (s *Service) ahead(queue string, p *place, shared bool) (all []*place, nearest *place) {
	all = s.queues[queue]
	if i := slices.Index(all, p); i >= 0 {
		all = all[:i]
	}
	for _, q := range slices.Backward(all) {
		if !shared || !q.contender.Shared {
			return all, q
		}
	}
	return all, nil
}
