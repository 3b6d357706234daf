package rival

import (
	"context"
	"sync"

	"github.com/gofrs/flock"
)

// mutexGofrs is what a service does today: a mutex for its goroutines, in
// front of one file lock for the process.
var mutexGofrs = Rival{
	Key: "mutex-gofrs", Name: "sync.Mutex + gofrs/flock", Shared: true, Recovers: true,
	Open: func(path string) (Lock, error) { return &mutexGofrsLock{f: flock.New(path)}, nil },
}

type mutexGofrsLock struct {
	mu sync.Mutex
	f  *flock.Flock
}

func (m *mutexGofrsLock) Lock(context.Context) error {
	m.mu.Lock()
	err := m.f.Lock()
	if err != nil {
		m.mu.Unlock()
	}
	return err
}

func (m *mutexGofrsLock) Unlock() error {
	defer m.mu.Unlock()
	return m.f.Unlock()
}

func (m *mutexGofrsLock) Close() error { return m.f.Close() }
