package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/internal/ticket"
)

const (
	// serviceLease is the lease of a lock in a lock service. It is longer than the
	// library's by what is reserved for the command's end.
	serviceLease = filelock.DefaultEngineLease + killGrace
	// answerLimit is how long a lock service may take for its first answer. An
	// election takes a second or two; for a wrong address nobody is to wait for ever.
	// The library has the same limit for a try and a look.
	answerLimit = tryLimit
	// closeLimit is how long what is left in the service may take to be cleaned up. It
	// ends with its lease, anyway.
	closeLimit = time.Second
)

// services are the connections to lock services that one command needs: one for each,
// however many targets are there. The zero value has none.
type services struct {
	mu   sync.Mutex
	open map[string]*careful
}

// connect returns the connection for a target.
func (s *services) connect(ctx context.Context, t target) (*careful, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.open[t.at.Service]; c != nil {
		return c, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, errNoAnswer)
	defer cancel()
	connection, err := t.at.Connect(ctx)
	if err != nil {
		return nil, &connectError{t, err}
	}
	if s.open == nil {
		s.open = map[string]*careful{}
	}
	c := newCareful(connection)
	s.open[t.at.Service] = c
	return c, nil
}

// errNoAnswer is why one gives up on a service that was not heard of at all.
var errNoAnswer = fmt.Errorf("no answer within %v", answerLimit)

// options are the library's for a target in a service. The lease is that of the URL, of the
// flag, or else serviceLease.
func (s *services) options(ctx context.Context, t target, flag time.Duration) ([]filelock.Option, error) {
	c, err := s.connect(ctx, t)
	if err != nil {
		return nil, err
	}
	return []filelock.Option{filelock.WithEngine(c), filelock.WithLease(cmp.Or(t.at.Lease, flag, serviceLease))}, nil
}

// inspect returns who holds a target's lock and who waits.
func (s *services) inspect(ctx context.Context, t target) (filelock.Queue, error) {
	opts, err := s.options(ctx, t, 0)
	if err != nil {
		return filelock.Queue{}, err
	}
	return filelock.Inspect(t.at.Name, opts...)
}

// list returns who is in the queue of a target.
func (s *services) list(ctx context.Context, t target) ([]engine.Contender, error) {
	c, err := s.connect(ctx, t)
	if err != nil {
		return nil, err
	}
	q, err := c.Open(t.at.Name, engine.Options{Lease: serviceLease, Poll: filelock.DefaultPollInterval})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, errNoAnswer)
	defer cancel()
	return q.List(ctx)
}

// acquireAnswered takes locks of which some are in a service. One that was not heard of
// yet is not waited for as a busy lock is, for ever: so it begins with a try, which takes
// the locks if they are free, and otherwise costs the service one request.
func (f *lockFlags) acquireAnswered(ctx context.Context, h *held) (err error) {
	if err := refuseNestedIn(ctx, h); err != nil {
		return err
	}
	h.free, err = filelock.TryAcquireAll(ctx, f.claims(h.locks)...)
	if errors.Is(err, filelock.ErrLocked) && !f.trying() {
		h.free, err = filelock.AcquireAll(ctx, f.claims(h.locks)...)
	}
	if err != nil {
		return err
	}
	if h.isLost() { // one while the next one was waited for
		return errors.Join(fmt.Errorf("%s: %w", h, filelock.ErrLost), h.free())
	}
	return nil
}

// close ends the connections, once what is to be cleaned up is. Without it what a
// wait that was ended has left in the queue would be in the way of others for a lease.
func (s *services) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		_ = c.Close(ctx) // or it ends with its lease
	}
	s.open = nil
}

// left is how much longer the locks are this process's, by the lease that ends first;
// at most limit, which it also is without services. See careful.left for since.
func (s *services) left(limit time.Duration, since func(time.Time) time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		limit = min(limit, c.left(since))
	}
	return max(0, limit)
}

// whileOurs calls f with how much longer the locks are this process's, by the lease that
// ends first: at once, and whenever a lease was renewed. Without services it never does.
func (s *services) whileOurs(f func(left time.Duration)) {
	told := func() { f(s.left(math.MaxInt64, time.Since)) }
	s.mu.Lock()
	for _, c := range s.open {
		c.onRenewal(told)
		defer told()
	}
	s.mu.Unlock()
}

// connectError is of a service that cannot be reached, for whatever reason.
type connectError struct {
	target target
	err    error
}

func (e *connectError) Error() string { return ticket.Quote(e.target.text) + ": " + e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }
