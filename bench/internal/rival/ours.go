package rival

import (
	"context"

	"github.com/filelock-go/filelock"
)

var ours = Rival{
	Key: "filelock", Name: "filelock", Shared: true, Recovers: true,
	Open: func(path string) (Lock, error) { return openOurs(path) },
}

// oursUnbatched does without what makes goroutines of one process fast.
var oursUnbatched = Rival{
	Key: "filelock-nobatch", Name: "filelock, WithBatch(0)", Shared: true, Recovers: true,
	Open: func(path string) (Lock, error) { return openOurs(path, filelock.WithBatch(0)) },
}

// oursUnrested makes a new ticket for each passage.
var oursUnrested = Rival{
	Key: "filelock-nolinger", Name: "filelock, WithLinger(0)", Shared: true, Recovers: true,
	Open: func(path string) (Lock, error) { return openOurs(path, filelock.WithLinger(0)) },
}

// OursIn is ours with the queue in another directory, and a new ticket for each
// passage.
func OursIn(queueDir string) Rival {
	return Rival{
		Key: "filelock-queuedir", Name: "filelock, WithQueueDir, WithLinger(0)", Shared: true, Recovers: true,
		Open: func(path string) (Lock, error) {
			return openOurs(path, filelock.WithQueueDir(queueDir), filelock.WithLinger(0))
		},
	}
}

type filelockLock struct{ l *filelock.FileLock }

func openOurs(path string, opts ...filelock.Option) (Lock, error) {
	l, err := filelock.New(path, opts...)
	if err != nil {
		return nil, err
	}
	return filelockLock{l}, nil
}

func (f filelockLock) Lock(ctx context.Context) error { return f.l.Acquire(ctx) }
func (f filelockLock) Unlock() error                  { return f.l.Unlock() }
func (f filelockLock) Close() error                   { return f.l.Close() }
