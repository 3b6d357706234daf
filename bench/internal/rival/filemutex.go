package rival

import (
	"context"

	"github.com/alexflint/go-filemutex"
)

// fileMutex keeps its file open from New to Close.
var fileMutex = Rival{
	Key: "filemutex", Name: "alexflint/go-filemutex", Recovers: true,
	Open: func(path string) (Lock, error) {
		m, err := filemutex.New(path)
		if err != nil {
			return nil, err
		}
		return &fileMutexLock{m}, nil
	},
}

type fileMutexLock struct{ m *filemutex.FileMutex }

func (f *fileMutexLock) Lock(context.Context) error { return f.m.Lock() }
func (f *fileMutexLock) Unlock() error              { return f.m.Unlock() }
func (f *fileMutexLock) Close() error               { return f.m.Close() }
