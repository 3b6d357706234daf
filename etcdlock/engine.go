// Package etcdlock keeps a filelock.FileLock's queue in etcd, so that it is one lock
// on all machines that reach the same cluster:
//
//	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints})
//	…
//	locks, err := etcdlock.New(client)
//	…
//	lock, err := filelock.New("jobs/nightly", filelock.WithEngine(locks))
//
// # Guarantees
//
// At most one holds the lock, first come first served, as long as holders go by what
// they are told: a holder that is cut off, or whose service is down, learns that the
// lock is lost before anybody else can enter. A process that is stopped or suspended
// beyond its lease learns that only when it goes on; what it does before it looks at
// Held, Lost or the context of Do it may do beside the next holder. Where that
// matters let the resource refuse: Owned makes etcd do so in its own transactions.
//
// A holder that dies, or is cut off, is followed after its lease has run out, and
// half a second; after a change of etcd's leader, which has all leases start anew,
// perhaps after a lease more. Clocks count as rates only.
//
// # Costs
//
// A lock that is held or waited for is one lease and one key, and nothing else is
// left behind. Let the cluster compact (--auto-compaction-retention): it remembers
// every change until then.
package etcdlock

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/etcdlock/internal/keyqueue"
)

// DefaultRoot is what all keys begin with.
const DefaultRoot = "/filelock"

// maxName is how long a name may be. Keys have no limit of their own, but requests do.
const maxName = 4096

// Engine is an engine.Engine over one client of etcd. It is safe for use by several
// goroutines. One for a process is enough: locks of one Engine share leases, and the
// goroutines that want the same lock a line.
type Engine struct {
	leases  *keyqueue.Leases
	process keyqueue.Process
	id      string
	root    string
}

var _ engine.Engine = (*Engine)(nil)

// Option configures an Engine.
type Option interface{ apply(*Engine) error }

type optionFunc func(*Engine) error

func (f optionFunc) apply(e *Engine) error { return f(e) }

// WithRoot has all keys begin with root and a slash, and so is what a user of etcd
// must be granted to read and write. The default is DefaultRoot. Engines of another
// root have other locks.
func WithRoot(root string) Option {
	return optionFunc(func(e *Engine) error {
		if root == "" || strings.HasSuffix(root, "/") {
			return fmt.Errorf("%w: root %q: want a prefix without a slash at its end", filelock.ErrInvalid, root)
		}
		e.root = root
		return nil
	})
}

// processName is another one for each process.
var processName = rand.Text()

// New returns an engine over a client, which stays the caller's: it is closed after
// the Engine, and not before its locks are released. New does not talk to etcd.
//
// The error matches filelock.ErrInvalid.
func New(client *clientv3.Client, opts ...Option) (*Engine, error) {
	if client == nil {
		return nil, fmt.Errorf("%w: the client is nil", filelock.ErrInvalid)
	}
	e := &Engine{leases: keyqueue.NewLeases(&store{client}), root: DefaultRoot}
	for _, o := range opts {
		if err := o.apply(e); err != nil {
			return nil, err
		}
	}
	e.process = keyqueue.Process{PID: os.Getpid(), Name: processName}
	e.process.Host, _ = os.Hostname() // for display
	// Two clients may reach two clusters by the same endpoints.
	endpoints := slices.Sorted(slices.Values(client.Endpoints()))
	e.id = fmt.Sprintf("etcd:%s#%p", strings.Join(endpoints, ","), client)
	return e, nil
}

// Open implements engine.Engine.
func (e *Engine) Open(name string, o engine.Options) (engine.Queue, error) {
	if len(name) > maxName {
		return nil, fmt.Errorf("the name has %d bytes; at most %d are allowed", len(name), maxName)
	}
	return keyqueue.NewQueue(e.leases, e.process, e.id, e.root, name, o), nil
}

// Close ends the leases that are kept for the next use, and waits until that, and all
// that is still to be cleaned up in the background, is done, or ctx is: then the error
// matches engine.ErrUnavailable, and what is left ends with its lease. Nobody has to
// call it. It does not close the client. Locks can be used after it as before.
func (e *Engine) Close(ctx context.Context) error {
	if err := e.leases.Close(ctx); err != nil {
		return fmt.Errorf("etcdlock: close: %w", err)
	}
	return nil
}

// Owned returns the condition that lock, which is held through an Engine, is held
// still, by the very grant that holds it now. In the If of a transaction of the same
// cluster it makes etcd refuse what a holder does that was stopped, and has lost the
// lock meanwhile without knowing:
//
//	owned, err := etcdlock.Owned(lock)
//	…
//	answer, err := client.Txn(ctx).If(owned).Then(clientv3.OpPut("/data", "new")).Commit()
//	…
//	if !answer.Succeeded { … } // the lock is lost, and nothing was changed
//
// It does not ask etcd. The error matches filelock.ErrNotLocked, filelock.ErrLost, or
// errors.ErrUnsupported for a lock that is not held through an engine.
func Owned(lock *filelock.FileLock) (clientv3.Cmp, error) {
	place, err := lock.Place()
	if err != nil {
		return clientv3.Cmp{}, err
	}
	return clientv3.Compare(clientv3.CreateRevision(place.ID), "=", int64(place.Serial)), nil
}

// store is etcd as a keyqueue.Store.
type store struct{ client *clientv3.Client }

var _ keyqueue.Store = (*store)(nil)

// Grant asks without etcd's retries at first. They would go on for as long as ctx lasts
// and hide the reason: a certificate that is not trusted, say. But they get a new token
// for a user, if the client has none yet or an old one.
func (s *store) Grant(ctx context.Context, seconds int64) (int64, time.Duration, error) {
	raw := pb.NewLeaseClient(s.client.ActiveConnection())
	answer, err := raw.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: seconds})
	if err == nil {
		return answer.ID, time.Duration(answer.TTL) * time.Second, nil
	}
	if err = explain(rpctypes.Error(err)); !errors.Is(err, fs.ErrPermission) || s.client.Username == "" {
		return 0, 0, err
	}
	again, err := s.client.Grant(ctx, seconds)
	if err != nil {
		return 0, 0, explain(err)
	}
	return int64(again.ID), time.Duration(again.TTL) * time.Second, nil
}

func (s *store) Renew(ctx context.Context, lease int64) error {
	// Not KeepAlive: that counts from the receipt, and looks once a second.
	_, err := s.client.KeepAliveOnce(ctx, clientv3.LeaseID(lease))
	return explain(err)
}

func (s *store) Revoke(ctx context.Context, lease int64) error {
	_, err := s.client.Revoke(ctx, clientv3.LeaseID(lease))
	return explain(err)
}

func (s *store) Left(ctx context.Context, lease int64) (time.Duration, error) {
	answer, err := s.client.TimeToLive(ctx, clientv3.LeaseID(lease))
	switch {
	case err != nil:
		return 0, explain(err)
	case answer.TTL < 0:
		return 0, keyqueue.ErrNoLease
	}
	return time.Duration(answer.TTL) * time.Second, nil
}

func (s *store) Commit(ctx context.Context, t keyqueue.Txn) (keyqueue.Answer, error) {
	answer, err := s.client.Txn(clientv3.WithRequireLeader(ctx)).
		If(conds(t.If)...).Then(ops(t.Then)...).Else(ops(t.Otherwise)...).Commit()
	if err != nil {
		return keyqueue.Answer{}, explain(err)
	}
	a := keyqueue.Answer{Succeeded: answer.Succeeded, Revision: answer.Header.Revision}
	for _, r := range answer.Responses {
		if r := r.GetResponseRange(); r != nil {
			found := keyqueue.Found{Count: int(r.Count)}
			for _, kv := range r.Kvs {
				found.Entries = append(found.Entries, keyqueue.Entry{
					Key: string(kv.Key), Value: string(kv.Value), Created: kv.CreateRevision, Lease: kv.Lease,
				})
			}
			a.Gets = append(a.Gets, found)
		}
	}
	return a, nil
}

func conds(all []keyqueue.Cond) (cmps []clientv3.Cmp) {
	for _, c := range all {
		cmp := clientv3.Compare(clientv3.CreateRevision(c.Key), "=", c.Created)
		if c.Prefix {
			cmp = cmp.WithPrefix()
		}
		cmps = append(cmps, cmp)
	}
	return cmps
}

func ops(all []keyqueue.Op) (ops []clientv3.Op) {
	for _, op := range all {
		switch op := op.(type) {
		case keyqueue.Put:
			ops = append(ops, clientv3.OpPut(op.Key, op.Value, clientv3.WithLease(clientv3.LeaseID(op.Lease))))
		case keyqueue.Delete:
			ops = append(ops, clientv3.OpDelete(op.Key))
		case keyqueue.Get:
			ops = append(ops, get(op))
		}
	}
	return ops
}

func get(g keyqueue.Get) clientv3.Op {
	order := clientv3.SortAscend
	if g.Newest {
		order = clientv3.SortDescend
	}
	opts := []clientv3.OpOption{clientv3.WithSort(clientv3.SortByCreateRevision, order), clientv3.WithLimit(int64(g.Limit))}
	if g.Prefix {
		opts = append(opts, clientv3.WithPrefix())
	}
	if g.Below > 0 {
		opts = append(opts, clientv3.WithMaxCreateRev(g.Below-1))
	}
	if g.Bare {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	return clientv3.OpGet(g.Key, opts...)
}

// errEnded is of a watch that ended without a word.
var errEnded = errors.New("the watch ended")

// Watch watches from now on: from a revision that is past, etcd would serve it by a
// loop that runs ten times a second only.
func (s *store) Watch(ctx context.Context, key string) (<-chan error, error) {
	events := s.client.Watch(clientv3.WithRequireLeader(ctx), key, clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	select {
	case first, ok := <-events:
		if !ok {
			return nil, fmt.Errorf("%w: %w", keyqueue.ErrPassing, errEnded)
		}
		if err := first.Err(); err != nil {
			return nil, explain(err)
		}
	case <-ctx.Done():
		return nil, explain(ctx.Err())
	}
	told := make(chan error, 1)
	go func() {
		event, ok := <-events
		switch {
		case !ok:
			told <- errEnded
		default:
			told <- event.Err()
		}
	}()
	return told, nil
}
