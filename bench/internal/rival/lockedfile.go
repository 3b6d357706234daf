package rival

import (
	"context"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// lockedFile is the mutex of cmd/go.
var lockedFile = Rival{
	Key: "lockedfile", Name: "go-internal lockedfile.Mutex", Shared: true, Recovers: true,
	Open: func(path string) (Lock, error) { return &lockedFileLock{mu: lockedfile.MutexAt(path)}, nil },
}

type lockedFileLock struct {
	mu     *lockedfile.Mutex
	unlock func() // the holder's
}

func (l *lockedFileLock) Lock(context.Context) error {
	unlock, err := l.mu.Lock()
	if err == nil {
		l.unlock = unlock
	}
	return err
}

func (l *lockedFileLock) Unlock() error {
	l.unlock()
	return nil
}

func (l *lockedFileLock) Close() error { return nil }
