package keyqueue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/filelock-go/filelock/engine"
)

// Ticket is one contender's key. It implements engine.Ticket and engine.Swapper.
type Ticket struct {
	queue  *Queue
	shared bool
	lease  *lease // nil: it has not joined
	over   bool   // it has left
	doubt  bool   // a request to join was not answered
	asked  bool   // its key may be deleted by a request of its own
	heard  time.Time
	silent bool // the last request was not answered

	// nearest is the nearest key that it has to wait for; "": there is none. Whoever
	// is once first stays first.
	nearest string

	mu      sync.Mutex // of what others ask for
	self    engine.Contender
	first   engine.Contender
	ahead   int
	gone    chan struct{}
	unwatch context.CancelFunc // ends the watch of the own key
}

var (
	_ engine.Ticket  = (*Ticket)(nil)
	_ engine.Swapper = (*Ticket)(nil)
)

func (t *Ticket) key() string { return t.self.ID }

// Join implements engine.Ticket.
func (t *Ticket) Join(ctx context.Context) (engine.Term, error) {
	return t.join(ctx, nil, nil, engine.ErrGone)
}

// Try implements engine.Ticket.
func (t *Ticket) Try(ctx context.Context) (engine.Term, error) {
	nobody := []Cond{{Key: t.queue.rivals(t.shared), Prefix: true}}
	term, err := t.join(ctx, nobody, nil, engine.ErrBusy)
	if err == nil {
		t.guard() // there is nothing to wait for
	}
	return term, err
}

// JoinFor implements engine.Swapper.
func (t *Ticket) JoinFor(ctx context.Context, old engine.Ticket) (engine.Term, error) {
	was := old.(*Ticket)
	was.unguard()
	there := []Cond{{Key: was.key(), Created: was.created()}}
	term, err := t.join(ctx, there, []Op{Delete{Key: was.key()}}, engine.ErrGone)
	switch {
	case err == nil:
		was.over = true
		was.queue.leases.put(was.lease, was.queue.lease)
	case t.doubt:
		was.asked = true
		was.lease.doubtful()
	}
	return term, err
}

// join creates the ticket's key if also some more conditions hold, and does more in
// the same step; refused is the error if they do not.
func (t *Ticket) join(ctx context.Context, conds []Cond, more []Op, refused error) (engine.Term, error) {
	for {
		l, err := t.queue.leases.take(ctx, t.queue.lease)
		if err != nil {
			return engine.Term{}, err
		}
		joined, err := t.create(ctx, l, conds, more)
		switch {
		case errors.Is(err, ErrNoLease): // it ended while it was idle, or meanwhile
			t.lease = nil
		case err == nil && joined:
			return engine.Term{Length: l.length, Since: l.since()}, nil
		case err == nil:
			t.queue.leases.put(l, t.queue.lease)
			return engine.Term{}, refused
		default:
			t.lease = nil
			t.queue.leases.put(l, t.queue.lease)
			return engine.Term{}, err
		}
	}
}

// create asks for the key until it is known whether it is there. A request that was
// not answered may have created it, or may yet.
func (t *Ticket) create(ctx context.Context, l *lease, conds []Cond, more []Op) (joined bool, err error) {
	self := engine.Contender{
		ID: t.queue.key(t.shared, l.id), Host: t.queue.process.Host, PID: t.queue.process.PID, Own: true,
		Queued: time.Now(), Shared: t.shared, Lease: l.length, Label: t.queue.label,
	}
	key := self.ID
	looks := []Op{
		Get{Key: t.queue.prefix, Prefix: true, Limit: 1},
		Get{Key: t.queue.rivals(t.shared), Prefix: true, Newest: true, Limit: 2, Bare: true},
	}
	txn := Txn{
		If:        append([]Cond{{Key: key}}, conds...),
		Then:      append(append(more[:len(more):len(more)], Put{Key: key, Value: t.queue.process.value(self), Lease: l.id}), looks...),
		Otherwise: append([]Op{Get{Key: key, Bare: true}}, looks...),
	}
	var a Answer
	err = persist(ctx, func(ctx context.Context) error {
		if a, err = t.queue.store.Commit(ctx, txn); errors.Is(err, ErrPassing) {
			t.doubt = true
			l.doubtful()
		}
		return err
	})
	if err != nil {
		return false, err
	}
	t.heard = time.Now()
	if a.Succeeded {
		self.Serial = uint64(a.Revision)
		t.hold(l, self)
		t.stands(a.Gets[0].Entries, before(a.Gets[1].Entries, key), a.Gets[0].Count-1)
		return true, nil
	}
	if own := a.Gets[0].Entries; len(own) > 0 { // by a request that was not answered
		self.Serial = uint64(own[0].Created)
		t.hold(l, self)
		err := t.look(ctx)
		if errors.Is(err, engine.ErrGone) {
			err = ErrNoLease // that request was long ago
		}
		return err == nil, err
	}
	t.saw(t.queue.contenders(a.Gets[1].Entries), a.Gets[1].Count)
	return false, nil
}

// before returns the newest of entries but the own one.
func before(newest []Entry, own string) string {
	for _, e := range newest {
		if e.Key != own {
			return e.Key
		}
	}
	return ""
}

func (t *Ticket) hold(l *lease, self engine.Contender) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lease, t.self = l, self
	t.gone = make(chan struct{})
}

func (t *Ticket) created() int64 { return int64(t.self.Serial) }

// Renew implements engine.Ticket.
func (t *Ticket) Renew(ctx context.Context) error {
	err := t.lease.renew(ctx, t.queue.store)
	if errors.Is(err, ErrNoLease) {
		return engine.ErrGone
	}
	return err
}

// Leave implements engine.Ticket.
func (t *Ticket) Leave(ctx context.Context) error {
	if t.lease == nil || t.over {
		return nil
	}
	t.over = true
	t.unguard()
	t.queue.leases.begin()
	defer t.queue.leases.end()
	deleted := false
	err := persist(ctx, func(ctx context.Context) (err error) {
		deleted, err = t.queue.delete(ctx, t.key(), t.created())
		if err != nil {
			t.asked = true
			t.lease.doubtful()
		}
		return err
	})
	switch {
	case err != nil:
		t.queue.leases.discard(t.lease)
		return err
	case !deleted && !t.asked:
		t.queue.leases.discard(t.lease)
		return engine.ErrGone
	default:
		t.queue.leases.put(t.lease, t.queue.lease)
		return nil
	}
}

// Self implements engine.Ticket.
func (t *Ticket) Self() engine.Contender {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.self
}

// Token implements engine.Ticket.
func (t *Ticket) Token() uint64 { return t.Self().Serial }

// Ahead implements engine.Ticket.
func (t *Ticket) Ahead() (first engine.Contender, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first, t.ahead
}

// Gone implements engine.Ticket.
func (t *Ticket) Gone() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone
}
