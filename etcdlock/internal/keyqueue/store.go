// Package keyqueue is a lock's queue in a store of keys like etcd, which orders all
// changes by revision, takes conditions and several changes in one transaction, and
// removes keys with their leases. It knows the store by a small interface only, so
// that the simulator beside it can stand in for etcd, and for all that goes wrong on
// the way there.
//
// A ticket is one key, <root>/<escaped name>/<kind>-<lease>, and its number the
// revision at which it was created: nobody can come in below it, so whoever is first
// stays first, and no doorway is needed. The rules:
//
//   - One ticket for each lease. A lease serves another ticket only after it was
//     confirmed that its key is deleted, and all that was ever asked in its name was
//     answered. In doubt it is renewed no more, and revoked in the background: a put
//     that arrives later fails, or goes with the lease (lease.go).
//   - Deletes compare the revision of creation: names repeat.
//   - A lease counts from the moment when its last renewal was sent, and lasts as
//     long as was granted, which need not be what was asked for.
//   - A waiter watches its predecessor from now on, and looks when the watch is set,
//     after each event, and when the watch ended or nothing was heard for a while.
//   - Cleaning up never depends on the caller's context.
package keyqueue

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrPassing is matched by a Store's errors that may pass: the request may or may
	// not have arrived, or arrive later.
	ErrPassing = errors.New("it may pass")
	// ErrNoLease is matched by the errors for a lease that is no more, or never was.
	ErrNoLease = errors.New("there is no such lease")
)

// Store is what a queue needs of etcd. All calls return when their context ends.
// Errors that do not match ErrPassing are final, and nothing was done.
type Store interface {
	// Grant returns a new lease, and for how long it was granted.
	Grant(ctx context.Context, seconds int64) (lease int64, granted time.Duration, err error)
	// Renew has a lease start anew.
	Renew(ctx context.Context, lease int64) error
	// Revoke ends a lease and deletes its key.
	Revoke(ctx context.Context, lease int64) error
	// Left returns what is left of a lease.
	Left(ctx context.Context, lease int64) (time.Duration, error)
	// Commit does Then if all conditions hold, or else Otherwise, at one revision.
	Commit(ctx context.Context, t Txn) (Answer, error)
	// Watch returns when it is set that the end of a key is told. From then on one
	// value comes when the key was deleted, nil, or the watch has ended, an error.
	Watch(ctx context.Context, key string) (<-chan error, error)
}

// Txn is one transaction.
type Txn struct {
	If              []Cond
	Then, Otherwise []Op
}

// Cond says at which revision a key was created; 0: there is no such key. With
// Prefix it says so of all keys that begin with it.
type Cond struct {
	Key     string
	Prefix  bool
	Created int64
}

// Op is one step of a transaction: a Put, a Delete or a Get.
type Op any

type (
	Put struct {
		Key, Value string
		Lease      int64
	}
	Delete struct{ Key string }
	// Get returns keys in the order of their creation.
	Get struct {
		Key    string
		Prefix bool  // all that begin with Key
		Below  int64 // only those created before that revision, unless 0
		Newest bool  // the other way round
		Limit  int64 // 0: all
		Bare   bool  // without values
	}
)

// Answer is that to a transaction.
type Answer struct {
	Succeeded bool // Then was done
	Revision  int64
	Gets      []Found // of the branch taken, in its order
}

// Found is what a Get found.
type Found struct {
	Entries []Entry
	Count   int // of all keys in the range, whatever Below and Limit say
}

// Entry is one key.
type Entry struct {
	Key, Value string
	Created    int64
	Lease      int64
}
