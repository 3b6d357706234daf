// Package inuse keeps things by key for as long as somebody uses them.
package inuse

import (
	"runtime"
	"sync"
	"weak"
)

// Map has what somebody uses, by key, and forgets what nobody uses any more: keys have
// paths and labels in them, of which a process may make ever new ones. The zero value is
// ready to use; it is safe for several goroutines, and must not be copied.
type Map[K comparable, V any] struct {
	mu    sync.Mutex
	known map[K]weak.Pointer[V]
	// first is the key of the first one, whose end nobody hears of until there is a
	// second one: most processes use one lock, and the runtime starts a goroutine with
	// the first cleanup, which is a tenth of a process's first acquisition.
	first    K
	cleaning bool // there was a second one
}

// Of returns what is known by a key, or else what fresh makes.
func (m *Map[K, V]) Of(key K, fresh func() *V) *V {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.known[key].Value(); v != nil {
		return v
	}
	v := fresh()
	if m.known == nil {
		m.known, m.first = map[K]weak.Pointer[V]{key: weak.Make(v)}, key
		return v
	}
	if !m.cleaning {
		m.cleaning = true
		if first := m.known[m.first].Value(); first != nil {
			runtime.AddCleanup(first, m.Forget, m.first)
		} else {
			delete(m.known, m.first)
		}
	}
	m.known[key] = weak.Make(v)
	runtime.AddCleanup(v, m.Forget, key)
	return v
}

// Find returns what is known by a key, or nil.
func (m *Map[K, V]) Find(key K) *V {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[key].Value()
}

// Each calls f for all that is in use. f must not use m.
func (m *Map[K, V]) Each(f func(K, *V)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, pointer := range m.known {
		if v := pointer.Value(); v != nil {
			f(key, v)
		}
	}
}

// Len counts what is known, in use or not yet forgotten.
func (m *Map[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.known)
}

// Forget drops the entry of what is no more, unless a new one took it. Nobody has to call
// it.
func (m *Map[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[key].Value() == nil {
		delete(m.known, key)
	}
}
