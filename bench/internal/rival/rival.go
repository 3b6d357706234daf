// Package rival puts every lock that is compared, ours among them, behind one
// interface, a file for each.
package rival

import (
	"context"
	"fmt"
)

// Lock is one handle on the lock of a path.
type Lock interface {
	// Lock waits for the lock. Those rivals that cannot be cancelled ignore
	// the context.
	Lock(ctx context.Context) error
	Unlock() error
	// Close gives back what the handle keeps when it is not locked.
	Close() error
}

// Rival is one way to lock.
type Rival struct {
	Key  string // names files, and is what flags choose by
	Name string // for readers
	Open func(path string) (Lock, error)

	// Shared: the goroutines of a process use one handle. Else each has its own.
	Shared bool
	// Unsafe: it is known to let two in, processes or goroutines.
	Unsafe bool
	// Polls: a waiter looks again and again.
	Polls bool
	// Recovers: the lock of a killed holder becomes free.
	Recovers bool
	// Floor: bare system calls, to compare with. Some of them exclude, but
	// none is a lock to use.
	Floor bool
}

// All returns the rivals in the order of the tables: ours first.
func All() []Rival {
	return []Rival{
		ours, oursUnbatched, oursUnrested, gofrs, mutexGofrs,
		gofrsTry(1), gofrsTry(10), gofrsTry(100),
		lockedFile, fileMutex, jujuMutex, nightlyone, plain,
	}
}

// Get returns the rival with a key. Floors have keys too.
func Get(key string) (Rival, error) {
	for _, r := range append(append(All(), Readers()...), FileFloor, RestFloor, QueueFloor, FlockFloor, Idle, ChannelFloor) {
		if r.Key == key {
			return r, nil
		}
	}
	return Rival{}, fmt.Errorf("no rival %q", key)
}

// Select returns the rivals with these keys, in this order.
func Select(keys ...string) []Rival {
	var rs []Rival
	for _, k := range keys {
		r, err := Get(k)
		if err != nil {
			panic(err) // a typing error in a scenario
		}
		rs = append(rs, r)
	}
	return rs
}
