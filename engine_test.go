package filelock_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine/enginetest"
)

// TestLocksOfFiles runs what every kind of queue must pass over files.
func TestLocksOfFiles(t *testing.T) {
	const lease = 2 * time.Second
	dir := t.TempDir()
	var names atomic.Int32
	enginetest.Locks(t, enginetest.World{
		Lease:   lease,
		Options: []filelock.Option{filelock.WithLease(lease), filelock.WithPollInterval(20 * time.Millisecond)},
		NewName: func(*testing.T) string { return filepath.Join(dir, fmt.Sprintf("target-%d", names.Add(1))) },
		NewClient: func(*testing.T) enginetest.Client {
			lines := map[string]*filelock.FileLock{}
			return enginetest.Client{
				Lock: func(name string, opts ...filelock.Option) (*filelock.FileLock, error) {
					l, err := filelock.New(name, opts...)
					switch {
					case err != nil:
					case lines[name] == nil:
						lines[name] = l
						l.OwnLine()
					default:
						l.LineOf(lines[name])
					}
					return l, err
				},
				Inspect: func(name string) (filelock.Queue, error) { return filelock.Inspect(name) },
			}
		},
		Rob: func(t *testing.T, name string) {
			q, err := filelock.Inspect(name)
			require.NoError(t, err)
			require.NoError(t, os.Remove(q.Tickets[0].Path))
		},
	})
}
