package rival

import (
	"context"

	"github.com/gofrs/flock"

	"github.com/filelock-go/filelock"
)

// Readers returns ours and gofrs/flock as those use them who only read: with a shared
// lock. They exclude only writers, and are compared with each other alone.
func Readers() []Rival { return []Rival{oursShared, gofrsShared} }

var oursShared = Rival{
	Key: "filelock-shared", Name: "filelock, AcquireShared", Shared: true, Recovers: true,
	Open: func(path string) (Lock, error) {
		l, err := filelock.New(path)
		if err != nil {
			return nil, err
		}
		return sharedLock{filelockLock{l}}, nil
	},
}

type sharedLock struct{ filelockLock }

func (s sharedLock) Lock(ctx context.Context) error { return s.l.AcquireShared(ctx) }

var gofrsShared = Rival{
	Key: "gofrs-shared", Name: "gofrs/flock, RLock", Recovers: true,
	Open: func(path string) (Lock, error) { return &gofrsReader{gofrsLock{flock.New(path)}}, nil },
}

type gofrsReader struct{ gofrsLock }

func (g *gofrsReader) Lock(context.Context) error { return g.f.RLock() }
