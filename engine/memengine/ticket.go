package memengine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/filelock-go/filelock/engine"
)

// ticket implements engine.Ticket and engine.Swapper.
type ticket struct {
	queue  *queue
	shared bool
	leaves chan struct{} // closed when Leave is called

	mu    sync.Mutex // of what follows
	own   engine.Contender
	place *place // nil: it has none
	first engine.Contender
	ahead int
	left  bool
	gone  chan struct{}
}

var _ engine.Swapper = (*ticket)(nil)

func (t *ticket) ask(ctx context.Context, do func(s *Service)) error {
	s := t.queue.engine.service
	return t.queue.engine.ask(ctx, func() { do(s) })
}

// contender is the ticket's as it joins now.
func (t *ticket) contender() engine.Contender {
	c := t.own
	c.Queued = time.Now()
	return c
}

func (t *ticket) Join(ctx context.Context) (engine.Term, error) {
	return t.join(ctx, func(*Service) bool { return true })
}

func (t *ticket) Try(ctx context.Context) (engine.Term, error) {
	return t.join(ctx, func(s *Service) bool {
		_, nearest := s.ahead(t.queue.name, nil, t.shared)
		return nearest == nil
	})
}

func (t *ticket) JoinFor(ctx context.Context, old engine.Ticket) (engine.Term, error) {
	leaver := old.(*ticket)
	was := leaver.taken()
	term, err := t.join(ctx, func(s *Service) bool { return s.remove(was) })
	if errors.Is(err, engine.ErrBusy) {
		err = engine.ErrGone
	}
	if err == nil {
		leaver.over()
	}
	return term, err
}

// join takes the last place if the service agrees.
func (t *ticket) join(ctx context.Context, may func(*Service) bool) (engine.Term, error) {
	since, c := time.Now(), t.contender()
	var joined *place
	var first engine.Contender
	var ahead int
	err := t.ask(ctx, func(s *Service) {
		if may(s) {
			joined = s.join(t.queue.name, c)
			c = joined.contender
		}
		first, ahead = s.standing(t.queue.name, joined)
	})
	if err != nil {
		return engine.Term{}, err // a place that comes of it ends with its lease
	}
	t.saw(first, ahead)
	if joined == nil {
		return engine.Term{}, engine.ErrBusy
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.own, t.place = c, joined
	return engine.Term{Length: c.Lease, Since: since}, nil
}

// standing returns who is first, and how many are ahead of p. s.mu is held.
func (s *Service) standing(queue string, p *place) (first engine.Contender, ahead int) {
	all, _ := s.ahead(queue, p, false)
	if len(all) > 0 {
		return all[0].contender, len(all)
	}
	if p != nil {
		return p.contender, 0
	}
	return engine.Contender{}, 0
}

func (t *ticket) Wait(ctx context.Context) error {
	own := t.taken()
	for {
		var gone bool
		var nearest *place
		var first engine.Contender
		var ahead int
		err := t.ask(ctx, func(s *Service) {
			gone = own.over()
			_, nearest = s.ahead(t.queue.name, own, t.shared)
			first, ahead = s.standing(t.queue.name, own)
		})
		switch {
		case err != nil:
			return err
		case gone:
			return engine.ErrGone
		case nearest == nil:
			t.saw(t.Self(), 0)
			return nil
		}
		t.saw(first, ahead)
		select {
		case <-nearest.gone:
		case <-own.gone:
		case <-ctx.Done():
			return t.ended(ctx)
		}
	}
}

// ended is the error of a wait that its context has ended.
func (t *ticket) ended(ctx context.Context) error {
	if fault, _, _ := t.queue.engine.state(); fault != None {
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, ctx.Err())
	}
	return ctx.Err()
}

// over reports whether the place is no more.
func (p *place) over() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

func (t *ticket) Renew(ctx context.Context) error {
	var there bool
	err := t.ask(ctx, func(s *Service) { there = s.renew(t.taken()) })
	if err == nil && !there {
		return engine.ErrGone
	}
	return err
}

func (t *ticket) Leave(ctx context.Context) error {
	p := t.taken()
	if t.over() || p == nil {
		return nil
	}
	var there bool
	err := t.ask(ctx, func(s *Service) { there = s.remove(p) })
	if err == nil && !there {
		return engine.ErrGone
	}
	return err
}

// over notes that the ticket leaves, and reports whether it has before.
func (t *ticket) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.left
	if t.left = true; !was {
		close(t.leaves)
	}
	return was
}

func (t *ticket) taken() *place {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.place
}

func (t *ticket) saw(first engine.Contender, ahead int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.first, t.ahead = t.queue.engine.seen(first), ahead
}

func (t *ticket) Self() engine.Contender {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.own
}

func (t *ticket) Ahead() (first engine.Contender, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first, t.ahead
}

func (t *ticket) Gone() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone == nil && t.place != nil {
		t.gone = make(chan struct{})
		go t.tell(t.place, t.gone)
	}
	return t.gone
}

// tell closes gone when p is no more, and the engine can know it.
func (t *ticket) tell(p *place, gone chan<- struct{}) {
	select {
	case <-p.gone:
	case <-t.leaves:
		return
	}
	for {
		fault, _, changed := t.queue.engine.state()
		if fault == None {
			close(gone)
			return
		}
		select {
		case <-changed:
		case <-t.leaves:
			return
		}
	}
}

func (t *ticket) Token() uint64 {
	if p := t.taken(); p != nil {
		return p.contender.Serial
	}
	return 0
}
