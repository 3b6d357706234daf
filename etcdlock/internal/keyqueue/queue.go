package keyqueue

import (
	"context"
	"strings"
	"time"

	"github.com/filelock-go/filelock/engine"
)

// Queue is one lock's. It implements engine.Queue.
type Queue struct {
	store   Store
	leases  *Leases
	process Process
	id      string
	prefix  string
	lease   time.Duration
	label   string
}

// NewQueue returns the queue of a name. The engine's id tells its queues apart from
// others' in this process.
func NewQueue(ls *Leases, p Process, engineID, root, name string, o engine.Options) *Queue {
	prefix := Prefix(root, name)
	return &Queue{
		store: ls.store, leases: ls, process: p, id: engineID + prefix, prefix: prefix, lease: o.Lease, label: o.Label,
	}
}

// ID implements engine.Queue.
func (q *Queue) ID() string { return q.id }

// New implements engine.Queue.
func (q *Queue) New(shared bool) engine.Ticket { return &Ticket{queue: q, shared: shared} }

// rivals is what the keys begin with of those whom a ticket has to wait for.
func (q *Queue) rivals(shared bool) string {
	if shared {
		return q.prefix + exclusiveKind
	}
	return q.prefix
}

func (q *Queue) commit(ctx context.Context, t Txn) (a Answer, err error) {
	err = persist(ctx, func(ctx context.Context) error {
		a, err = q.store.Commit(ctx, t)
		return err
	})
	return a, err
}

// List implements engine.Queue.
func (q *Queue) List(ctx context.Context) ([]engine.Contender, error) {
	a, err := q.commit(ctx, Txn{Then: []Op{Get{Key: q.prefix, Prefix: true}}})
	if err != nil {
		return nil, err
	}
	all := []engine.Contender{}
	for _, e := range a.Gets[0].Entries {
		c := q.process.contender(q.prefix, e)
		_ = persist(ctx, func(ctx context.Context) error {
			left, err := q.store.Left(ctx, e.Lease)
			if err == nil {
				c.Left = left
			}
			return err
		}) // or it is not known
		all = append(all, c)
	}
	return all, nil
}

// Evict implements engine.Queue.
func (q *Queue) Evict(ctx context.Context, c engine.Contender) error {
	if !strings.HasPrefix(c.ID, q.prefix) || c.Serial == 0 {
		return engine.ErrGone
	}
	doubt := false
	return persist(ctx, func(ctx context.Context) error {
		deleted, err := q.delete(ctx, c.ID, int64(c.Serial))
		if err == nil && !deleted && !doubt {
			return engine.ErrGone
		}
		doubt = err != nil
		return err
	})
}

// delete deletes a key that was created at a revision, and reports whether it was
// there.
func (q *Queue) delete(ctx context.Context, key string, created int64) (bool, error) {
	a, err := q.store.Commit(ctx, Txn{
		If:   []Cond{{Key: key, Created: created}},
		Then: []Op{Delete{Key: key}},
	})
	return a.Succeeded, err
}
