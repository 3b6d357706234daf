package enginetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
)

// sharedLocks: readers are inside together, writers alone, and nobody overtakes.
func sharedLocks(t table) {
	look := t.NewClient(t.T)
	r1, r2 := t.on(), t.on()
	require.NoError(t, r1.AcquireShared(t.context()))
	require.NoError(t, r2.AcquireShared(t.context()))
	require.NoError(t, t.onceShared(r1), "another goroutine joins")
	w := t.on()
	writes := start(func() error { return w.Acquire(t.context()) })
	t.settled(look, 3)
	require.ErrorIs(t, t.on().TryLockShared(), filelock.ErrLocked, "it would overtake a writer")
	r3 := t.on()
	reads := start(func() error { return r3.AcquireShared(t.context()) })
	t.queued(look, 4)
	blocks(t, writes)
	require.NoError(t, r1.Unlock())
	blocks(t, writes)
	require.NoError(t, r2.Unlock())
	require.NoError(t, result(t, writes))
	blocks(t, reads)
	require.NoError(t, w.Unlock())
	require.NoError(t, result(t, reads))
	require.NoError(t, r3.Unlock())
	t.queued(look, 0)
}

// onceShared takes and gives back a share.
func (t table) onceShared(l *filelock.FileLock) error {
	if err := l.AcquireShared(t.context()); err != nil {
		return err
	}
	return l.Unlock()
}

// readersAndWriters storm, and a referee looks.
func readersAndWriters(t table) {
	var readers, writers, together atomic.Int32
	var all sync.WaitGroup
	for c := range 4 {
		l := t.on()
		for range 2 {
			all.Go(func() {
				for i := range 12 {
					if shared := (i+c)%3 > 0; shared {
						if !assert.NoError(t, l.AcquireShared(t.context())) {
							return
						}
						together.Store(max(together.Load(), readers.Add(1)))
						assert.Zero(t, writers.Load())
						time.Sleep(time.Millisecond)
						readers.Add(-1)
					} else {
						if !assert.NoError(t, l.Acquire(t.context())) {
							return
						}
						assert.EqualValues(t, 1, writers.Add(1))
						assert.Zero(t, readers.Load())
						writers.Add(-1)
					}
					assert.NoError(t, l.Unlock())
				}
			})
		}
	}
	all.Wait()
	require.Greater(t, together.Load(), int32(1), "readers are together")
	t.queued(t.NewClient(t.T), 0)
}

// several: all or none, in whatever order they are named.
func several(t table) {
	names := []string{t.name, t.NewName(t.T)}
	locks := func(c Client) (ls []filelock.Claim) {
		for _, name := range names {
			ls = append(ls, table{T: t.T, World: t.World, name: name}.at(c))
		}
		return ls
	}
	var inside, holds atomic.Int32
	var all sync.WaitGroup
	for c := range 3 {
		ls := locks(t.NewClient(t.T))
		if c%2 == 1 {
			ls[0], ls[1] = ls[1], ls[0]
		}
		all.Go(func() {
			for range 10 {
				release, err := filelock.AcquireAll(t.context(), ls...)
				if !assert.NoError(t, err) {
					return
				}
				assert.EqualValues(t, 1, inside.Add(1))
				holds.Add(1)
				inside.Add(-1)
				assert.NoError(t, release())
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 30, holds.Load())

	second := table{T: t.T, World: t.World, name: names[1]}
	holder := second.holder()
	_, err := filelock.TryAcquireAll(context.Background(), locks(t.NewClient(t.T))...)
	require.ErrorIs(t, err, filelock.ErrLocked)
	require.NoError(t, holder.Unlock())
	t.free()
	second.free()
}

// tokens grow with each grant, of whatever client and goroutine.
func tokensOfLocks(t table) {
	const clients, goroutines, holds = 3, 3, 10
	var last uint64
	var n int
	var all sync.WaitGroup
	for range clients {
		l := t.on(filelock.WithFencing())
		for range goroutines {
			all.Go(func() {
				for range holds {
					if !assert.NoError(t, l.Acquire(t.context())) {
						return
					}
					token, err := l.Token()
					assert.NoError(t, err)
					assert.Greater(t, token, last)
					last = token
					n++
					assert.NoError(t, l.Unlock())
				}
			})
		}
	}
	all.Wait()
	require.Equal(t, clients*goroutines*holds, n)
	_, err := t.on(filelock.WithFencing()).Token()
	require.ErrorIs(t, err, filelock.ErrNotLocked)
}

// onWait: who waits is told for whom.
func onWait(t table) {
	holder := t.holder()
	told := make(chan filelock.Wait, 100)
	l := t.on(filelock.WithLabel("waiter"), filelock.WithOnWait(func(w filelock.Wait) { told <- w }))
	done := start(func() error { return l.Acquire(t.context()) })
	w := <-told
	require.Equal(t, 1, w.Ahead)
	require.NotEmpty(t, w.Holder.Path)
	require.Equal(t, l.Path(), w.Path)
	q := t.queued(t.NewClient(t.T), 2)
	require.Equal(t, "waiter", q.Tickets[1].Label)
	require.NoError(t, holder.Unlock())
	require.NoError(t, result(t, done))
	require.NoError(t, l.Unlock())
}
