package filelock

import (
	"runtime"
	"sync"
	"weak"
)

// inUse has what somebody uses, by key, and forgets what nobody uses any more: keys have
// paths and labels in them, of which a process may make ever new ones. The zero value is
// ready to use; it is safe for several goroutines.
type inUse[K comparable, V any] struct {
	mu    sync.Mutex
	known map[K]weak.Pointer[V]
}

// of returns what is known by a key, or else what fresh makes.
func (u *inUse[K, V]) of(key K, fresh func() *V) *V {
	u.mu.Lock()
	defer u.mu.Unlock()
	if v := u.known[key].Value(); v != nil {
		return v
	}
	if u.known == nil {
		u.known = map[K]weak.Pointer[V]{}
	}
	v := fresh()
	u.known[key] = weak.Make(v)
	runtime.AddCleanup(v, u.forget, key)
	return v
}

// find returns what is known by a key, or nil.
func (u *inUse[K, V]) find(key K) *V {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known[key].Value()
}

// each calls f for all that is in use. f must not use u.
func (u *inUse[K, V]) each(f func(K, *V)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, pointer := range u.known {
		if v := pointer.Value(); v != nil {
			f(key, v)
		}
	}
}

// forget drops the entry of what is no more, unless a new one took it.
func (u *inUse[K, V]) forget(key K) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.known[key].Value() == nil {
		delete(u.known, key)
	}
}
