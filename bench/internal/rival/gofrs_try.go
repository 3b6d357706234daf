package rival

import (
	"context"
	"fmt"
	"time"

	"github.com/gofrs/flock"
)

// gofrsTry is the lock that can be cancelled, which polls.
func gofrsTry(ms int) Rival {
	return Rival{
		Key: fmt.Sprintf("gofrs-try%d", ms), Name: fmt.Sprintf("gofrs TryLockContext %d ms", ms),
		Polls: true, Recovers: true,
		Open: func(path string) (Lock, error) {
			return &gofrsTryLock{flock.New(path), time.Duration(ms) * time.Millisecond}, nil
		},
	}
}

type gofrsTryLock struct {
	f     *flock.Flock
	retry time.Duration
}

func (g *gofrsTryLock) Lock(ctx context.Context) error {
	_, err := g.f.TryLockContext(ctx, g.retry)
	return err
}

func (g *gofrsTryLock) Unlock() error { return g.f.Unlock() }
func (g *gofrsTryLock) Close() error  { return g.f.Close() }
