package keyqueue

import (
	"context"
	"errors"
	"sync"
	"time"
)

// lease is one of the store's, with at most one ticket. Only its user touches it.
type lease struct {
	id     int64
	length time.Duration

	mu      sync.Mutex
	renewed time.Time // when its last renewal was sent, or its grant
	doubt   bool      // something that was asked in its name may arrive yet
}

func (l *lease) since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.renewed
}

// renew has the lease start anew. It counts from now, before it is sent: the store
// may have begun to count as early as that.
func (l *lease) renew(ctx context.Context, s Store) error {
	sent := time.Now()
	err := persist(ctx, func(ctx context.Context) error { return s.Renew(ctx, l.id) })
	if err == nil {
		l.mu.Lock()
		l.renewed = sent
		l.mu.Unlock()
	}
	return err
}

func (l *lease) doubtful() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = true
}

func (l *lease) isDoubtful() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubt
}

// Leases are those of one engine that have no ticket, by the time asked for. To use
// one again saves a request, and a name: the store remembers all names until it is
// compacted.
type Leases struct {
	store Store

	mu      sync.Mutex
	idle    map[time.Duration][]*lease // the one used last is the last
	closed  bool
	running int           // what goes on in the background, and leaves
	quiet   chan struct{} // closed when nothing does any more
}

// begin notes that something goes on that Close waits for, until end. A WaitGroup would not
// do: it may begin while Close waits already.
func (ls *Leases) begin() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.running == 0 {
		ls.quiet = make(chan struct{})
	}
	ls.running++
}

func (ls *Leases) end() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.running--; ls.running == 0 {
		close(ls.quiet)
	}
}

// NewLeases returns none yet.
func NewLeases(s Store) *Leases { return &Leases{store: s, idle: map[time.Duration][]*lease{}} }

// renewals is how many renewals a lease's time has room for.
const renewals = 3

// take returns a lease for a ticket.
func (ls *Leases) take(ctx context.Context, length time.Duration) (*lease, error) {
	for {
		l := ls.pop(length)
		if l == nil {
			return ls.grant(ctx, length)
		}
		if time.Since(l.since()) < l.length/renewals {
			return l, nil
		}
		switch err := l.renew(ctx, ls.store); {
		case err == nil:
			return l, nil
		case !errors.Is(err, ErrNoLease):
			ls.revokeSoon(l, l.length)
			return nil, err
		}
	}
}

// pop returns the idle lease that was used last.
func (ls *Leases) pop(length time.Duration) *lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	idle := ls.idle[length]
	if len(idle) == 0 {
		return nil
	}
	l := idle[len(idle)-1]
	ls.idle[length] = idle[:len(idle)-1]
	if time.Since(l.since()) >= l.length {
		delete(ls.idle, length) // the others are older still
		return nil
	}
	return l
}

func (ls *Leases) grant(ctx context.Context, length time.Duration) (*lease, error) {
	l := new(lease)
	err := persist(ctx, func(ctx context.Context) (err error) {
		l.renewed = time.Now()
		l.id, l.length, err = ls.store.Grant(ctx, int64(length/time.Second))
		return err // a lease that nobody hears of ends by itself
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// put gives back a lease whose ticket is known to be no more. In doubt it is not
// used again.
func (ls *Leases) put(l *lease, length time.Duration) {
	ls.mu.Lock()
	doubt := l.isDoubtful()
	keep := !ls.closed && !doubt
	if keep {
		ls.idle[length] = append(ls.idle[length], l)
	}
	ls.mu.Unlock()
	switch {
	case doubt:
		ls.discard(l)
	case !keep:
		ls.revokeSoon(l, l.length)
	}
}

// afterwards is how long a lease that is in doubt is revoked for at the least. It may last
// longer than its time: no lease ends while a store is down, and then all begin anew.
const afterwards = time.Minute

// discard revokes a lease that may have a key, in the background.
func (ls *Leases) discard(l *lease) { ls.revokeSoon(l, max(l.length, afterwards)) }

// revokeSoon revokes a lease in the background. It tries for no longer than limit.
func (ls *Leases) revokeSoon(l *lease, limit time.Duration) {
	ls.begin()
	go func() {
		defer ls.end()
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		_ = ls.revoke(ctx, l) // or it ends by itself
	}()
}

func (ls *Leases) revoke(ctx context.Context, l *lease) error {
	err := persist(ctx, func(ctx context.Context) error { return ls.store.Revoke(ctx, l.id) })
	if errors.Is(err, ErrNoLease) {
		return nil
	}
	return err
}

// Close revokes what is idle, and waits until that, and all that goes on in the
// background, is done, or ctx is. What is given back from now on is revoked as well.
func (ls *Leases) Close(ctx context.Context) error {
	ls.mu.Lock()
	idle := ls.idle
	ls.idle, ls.closed = map[time.Duration][]*lease{}, true
	ls.mu.Unlock()
	for _, leases := range idle {
		for _, l := range leases {
			ls.revokeSoon(l, l.length)
		}
	}
	for {
		ls.mu.Lock()
		running, quiet := ls.running, ls.quiet
		ls.mu.Unlock()
		if running == 0 {
			return nil
		}
		select {
		case <-quiet:
		case <-ctx.Done():
			return silent(ctx)
		}
	}
}
