package rival

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"

	"github.com/juju/clock"
	"github.com/juju/mutex/v2"
)

// jujuMutex locks names rather than paths, in the directory for temporary
// files: that is set to the path's.
var jujuMutex = Rival{
	Key: "juju", Name: "juju/mutex", Recovers: true,
	Open: func(path string) (Lock, error) {
		if err := os.Setenv("TMPDIR", filepath.Dir(path)); err != nil {
			return nil, err
		}
		h := fnv.New64a()
		h.Write([]byte(path))
		return &jujuLock{spec: mutex.Spec{
			Name: fmt.Sprintf("bench-%x", h.Sum64()), Clock: clock.WallClock, Delay: time.Millisecond,
		}}, nil
	},
}

type jujuLock struct {
	spec mutex.Spec
	held mutex.Releaser
}

func (j *jujuLock) Lock(context.Context) (err error) {
	j.held, err = mutex.Acquire(j.spec)
	return err
}

func (j *jujuLock) Unlock() error {
	j.held.Release()
	return nil
}

func (j *jujuLock) Close() error { return nil }
