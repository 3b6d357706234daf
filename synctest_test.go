package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
)

// A bubble of testing/synctest may use nothing of another one's but memory: a
// channel, a timer or a WaitGroup that is shared behind the scenes, in a pool, say,
// ends the whole program ("receive on synctest channel from outside bubble").

// inBubbles runs f outside of all bubbles and in several, one after another, over
// and over.
func inBubbles(t *testing.T, f func(t *testing.T)) {
	for range 3 {
		f(t)
		for range 2 {
			synctest.Test(t, f)
		}
	}
}

// crowd has goroutines contend for a lock, some of which give up.
func crowd(t *testing.T, l *filelock.FileLock, opts ...filelock.Option) {
	const goroutines, turns = 8, 20
	impatient, err := filelock.New(l.Path(), append(opts, filelock.WithTimeout(time.Microsecond))...)
	if !assert.NoError(t, err) {
		return // this may be any goroutine
	}
	var inside atomic.Int32 // two lines hand over by files, of which the race detector knows nothing
	pass := func(context.Context) error {
		if n := inside.Add(1); n != 1 {
			t.Errorf("%d are inside", n)
		}
		inside.Add(-1)
		return nil
	}
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			for range turns {
				var err error
				switch i % 4 {
				case 0:
					err = l.Do(t.Context(), pass)
				case 1:
					if err = l.Acquire(context.Background()); err == nil {
						err = errors.Join(pass(nil), l.Unlock())
					}
				case 2:
					err = impatient.Do(t.Context(), pass)
				case 3:
					var release func() error
					if release, err = l.Hold(t.Context()); err == nil {
						err = errors.Join(pass(nil), release())
					}
				}
				if err != nil && !errors.Is(err, filelock.ErrTimeout) {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	group.Wait()
}

// TestBubbles: whatever one bubble did with a lock, the next one can use it, and
// so can those outside.
func TestBubbles(t *testing.T) {
	path := target(t)
	for _, tt := range []struct {
		name string
		opts []filelock.Option
	}{
		{"a new ticket each time", []filelock.Option{filelock.WithLinger(0), filelock.WithBatch(0)}},
		{"tickets rest", []filelock.Option{filelock.WithLinger(time.Hour)}},
		{"by default", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shared := newLock(t, path, tt.opts...)
			inBubbles(t, func(t *testing.T) {
				crowd(t, shared, tt.opts...)
				own := newLock(t, path, tt.opts...)
				crowd(t, own, tt.opts...)
				require.NoError(t, own.TryLock())
				require.ErrorIs(t, shared.TryLock(), filelock.ErrLocked)
				require.NoError(t, own.Unlock())
			})
			require.NoError(t, shared.Close())
			requireNoTickets(t, filepath.Dir(path))
		})
	}
}

// TestBubblesAtOnce: bubbles beside one another, and goroutines outside, that wait
// for files too: each has two locks with lines of their own, as two processes have.
func TestBubblesAtOnce(t *testing.T) {
	for i := range 6 {
		play := func(t *testing.T) {
			path := target(t)
			a, b := newLock(t, path), newLock(t, path)
			b.OwnLine()
			var group sync.WaitGroup
			for _, l := range []*filelock.FileLock{a, b} {
				group.Go(func() { crowd(t, l) })
			}
			group.Wait()
			require.NoError(t, a.Close())
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for range 3 {
				if i%2 == 0 {
					synctest.Test(t, play)
				} else {
					play(t)
				}
			}
		})
	}
}

// TestBubblesWaitForOthers: those who wait for other processes, in bubbles and
// outside at the same time, are told of them by the same kernel. (Time stands still
// in such a bubble.)
func TestBubblesWaitForOthers(t *testing.T) {
	const locks = 6
	var paths []string
	var children []*locktest.Child
	for range locks {
		paths = append(paths, target(t))
		children = append(children, locktest.Start(t, "hold", paths[len(paths)-1]))
	}
	var group sync.WaitGroup // as parallel tests they would have to wait for one another
	for i, path := range paths {
		children[i].Expect("held")
		pass := func(t *testing.T) {
			l, err := filelock.New(path)
			if assert.NoError(t, err) {
				assert.NoError(t, l.Do(t.Context(), func(context.Context) error { return nil }))
			}
		}
		group.Go(func() {
			if i%3 == 0 {
				pass(t)
			} else {
				synctest.Test(t, pass)
			}
		})
	}
	for i, path := range paths {
		settled(t, path, 2)
		children[i].Go()
	}
	group.Wait()
	for _, child := range children {
		child.Expect("released")
		child.Done()
	}
}

// TestBubbleBesideOthers: a lock made in a bubble shares no line with one outside, but
// waits for it as for another process.
func TestBubbleBesideOthers(t *testing.T) {
	path := target(t)
	outside := newLock(t, path)
	acquire(t, outside)
	var group sync.WaitGroup
	group.Go(func() {
		synctest.Test(t, func(t *testing.T) {
			assert.NoError(t, newLock(t, path).Do(context.Background(), func(context.Context) error { return nil }))
		})
	})
	settled(t, path, 2)
	require.NoError(t, outside.Unlock())
	group.Wait()
}

// TestBubbleTime: a holder that sleeps in a bubble does not sleep for long, though
// others wait for it, in its own line or by its file.
func TestBubbleTime(t *testing.T) {
	for _, ownLine := range []bool{false, true} {
		t.Run(fmt.Sprintf("own line %v", ownLine), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				path := target(t)
				a, b := newLock(t, path), newLock(t, path)
				if ownLine {
					b.OwnLine()
				}
				acquire(t, a)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				require.ErrorIs(t, b.Acquire(ctx), context.DeadlineExceeded)
				require.Equal(t, time.Minute, time.Since(began))
				waits := start(func() error { return b.Acquire(t.Context()) })
				time.Sleep(time.Hour)
				require.NoError(t, a.Unlock())
				require.NoError(t, <-waits)
				require.NoError(t, b.Unlock())
			})
		})
	}
}

// TestRestOutlivesBubble: the timers of a bubble end with it. What it left at rest
// goes when somebody outside has used the lock.
func TestRestOutlivesBubble(t *testing.T) {
	path := target(t)
	requireRest(t, filepath.Dir(path))
	l := newLock(t, path)
	uses := func(n int) {
		for range n {
			acquire(t, l)
			require.NoError(t, l.Unlock())
		}
	}
	synctest.Test(t, func(t *testing.T) { uses(3) })
	require.Len(t, tickets(t, filepath.Dir(path)), 1)
	uses(1)
	eventually(t, "the end of the rest", func() bool { return len(tickets(t, filepath.Dir(path))) == 0 })
}
