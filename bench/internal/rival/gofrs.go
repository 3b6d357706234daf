package rival

import (
	"context"

	"github.com/gofrs/flock"
)

// gofrs is the blocking lock. A second TryLock or Lock through one object
// succeeds at once, so each goroutine has an object of its own.
var gofrs = Rival{
	Key: "gofrs", Name: "gofrs/flock", Recovers: true,
	Open: func(path string) (Lock, error) { return &gofrsLock{flock.New(path)}, nil },
}

type gofrsLock struct{ f *flock.Flock }

func (g *gofrsLock) Lock(context.Context) error { return g.f.Lock() }
func (g *gofrsLock) Unlock() error              { return g.f.Unlock() }
func (g *gofrsLock) Close() error               { return g.f.Close() }
