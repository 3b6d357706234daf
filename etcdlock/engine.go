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
// perhaps after a lease more. Clocks count as rates only. On Linux, who waits right
// behind a process of the same machine when that dies need not wait for its lease: the
// kernel tells it.
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
	"fmt"
	"os"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
	"github.com/filelock-go/filelock/etcdlock/internal/keyqueue"
	"github.com/filelock-go/filelock/etcdlock/internal/neighbour"
)

// DefaultRoot is what all keys begin with.
const DefaultRoot = "/filelock"

// maxName is how long a name may be. Keys have no limit of their own, but requests do.
const maxName = 4096

// Engine is an engine.Engine over one client of etcd. It is safe for use by several
// goroutines. One for a process is enough: locks of one Engine share leases, and the
// goroutines that want the same lock a line.
type Engine struct {
	store   *store
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

// WithoutNeighbours has the end of this process told to nobody: who waits behind it waits
// for its lease, on the same machine, too. It is for processes that have others do the
// work. These do not inherit the lock, but with time to end before the next one enters,
// somebody can see to it that they do. By default, a waiter right behind it on the same
// machine is told within milliseconds, on Linux.
func WithoutNeighbours() Option {
	return optionFunc(func(e *Engine) error {
		e.process.Hidden = true
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
	e := &Engine{root: DefaultRoot}
	e.process = keyqueue.Process{PID: os.Getpid(), Name: processName, Machine: neighbour.Machine(), Meet: neighbour.Meet}
	e.process.Host, _ = os.Hostname() // for display
	for _, o := range opts {
		if err := o.apply(e); err != nil {
			return nil, err
		}
	}
	e.store = newStore(client, e.root)
	e.leases = keyqueue.NewLeases(e.store)
	if !e.process.Hidden {
		neighbour.Show(processName)
	}
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
// call it. It does not close the client. Locks can be used after it as before. Once the
// client is closed, all fails at once.
func (e *Engine) Close(ctx context.Context) error {
	e.store.close()
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
