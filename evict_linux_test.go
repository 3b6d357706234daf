package filelock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

func init() { locktest.Register("stormed", stormed) }

// evictCase is one ticket, and what comes of evicting it.
type evictCase struct {
	name    string
	edit    func(*ticket.Name)
	plain   bool
	hold    func(*testing.T, string) // a lock of the ticket's
	want    error
	guarded bool
}

func TestEvict(t *testing.T) {
	foreign := func(n *ticket.Name) { n.Host, n.PIDSpace = "web-9", ticket.HashOf("web-9") }
	server := func(n *ticket.Name) { foreign(n); n.Place = liveness.Filesystem{Type: 0x6969, ID: 7}.Place() }
	runs := func(*ticket.Name) {}
	dead := func(n *ticket.Name) { n.PID = unusedPID }
	for _, tt := range []evictCase{
		{name: "of another host", edit: foreign, guarded: true},
		{name: "of another host, inside", edit: foreign, hold: holdEntry, want: filelock.ErrInside, guarded: true},
		{name: "of another host, through a server", edit: server},
		{name: "of another host, through a server, its entry held here", edit: server, hold: holdEntry, want: filelock.ErrInside},
		{name: "a waiter", edit: runs, hold: holdWitness, guarded: true},
		{name: "of this process, inside", edit: runs, hold: holdEntry, want: filelock.ErrInside, guarded: true},
		{name: "dead", edit: dead, guarded: true},
		{name: "an heir inside", edit: dead, hold: holdEntry, want: filelock.ErrInside, guarded: true},
		{name: "plain, of another host", plain: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := target(t)
			file := path + ".lock.web-9.7.tok.pid"
			if tt.plain {
				require.NoError(t, touch(file))
			} else {
				file = plant(t, path, tt.edit)
			}
			tt.run(t, path, file)
		})
	}
}

func (c *evictCase) run(t *testing.T, path, file string) {
	if c.hold != nil {
		c.hold(t, file)
	}
	core, logs := observer.New(zap.WarnLevel)
	got, err := filelock.Evict(path, file, filelock.WithLogger(zap.New(core)))
	t.Log(got, err)
	require.Equal(t, file, got.Path)
	require.Equal(t, c.guarded, got.Guarded)
	if c.want != nil {
		require.ErrorIs(t, err, c.want)
		require.FileExists(t, file)
		require.Zero(t, logs.Len())
		return
	}
	require.NoError(t, err)
	require.NoFileExists(t, file)
	require.Equal(t, 1, logs.FilterMessage("reclaim").Len())
	_, err = filelock.Evict(path, filepath.Base(file))
	require.ErrorIs(t, err, fs.ErrNotExist, "once is enough")
}

// TestEvictWhereNothingTells: on filesystems of many kernels nobody can be seen to
// be inside, and who is known to live may be.
func TestEvictWhereNothingTells(t *testing.T) {
	path := filepath.Join(manyKernels(t), "target")
	lives := plant(t, path, func(*ticket.Name) {})
	foreign := plant(t, path, func(n *ticket.Name) { n.Host, n.PIDSpace = "web-9", ticket.HashOf("web-9") })
	got, err := filelock.Evict(path, lives)
	require.ErrorIs(t, err, filelock.ErrInside)
	require.False(t, got.Guarded)
	require.FileExists(t, lives)
	got, err = filelock.Evict(path, foreign)
	require.NoError(t, err)
	require.Equal(t, filelock.Unknown, got.State)
	require.False(t, got.Guarded)
	require.NoFileExists(t, foreign)
}

func TestEvictRefusesWhatIsNoTicket(t *testing.T) {
	path := target(t)
	file := plant(t, path, func(n *ticket.Name) { n.PID = unusedPID })
	other := filepath.Join(filepath.Dir(path), "other")
	for _, name := range []string{
		"", "target", path, filepath.Base(file) + "x", "../" + filepath.Base(file), file + "/..",
		filepath.Join(t.TempDir(), filepath.Base(file)), filepath.Base(plant(t, other, func(*ticket.Name) {})),
	} {
		_, err := filelock.Evict(path, name)
		require.ErrorIs(t, err, filelock.ErrInvalid, "%q", name)
		var typed *filelock.Error
		require.ErrorAs(t, err, &typed)
		require.Equal(t, "evict", typed.Op)
		require.Equal(t, path, typed.Path)
	}
	require.Len(t, tickets(t, filepath.Dir(path)), 2)
	_, err := filelock.Evict("", filepath.Base(file))
	require.ErrorIs(t, err, filelock.ErrInvalid)
}

// TestEvictStorm: processes take a lock in turn, while one evicts every ticket that
// it sees, again and again, whoever has it. Those who wait start anew; nobody loses
// what it holds, and two are never inside.
//
//	owner                      operator
//	waits                      looks: not inside
//	takes the entry lock
//	looks its name up: there
//	inside                     removes the ticket    <- refused by the entry lock
func TestEvictStorm(t *testing.T) {
	t.Parallel()
	path := target(t)
	guard, file := watched(t)
	const processes = 3
	var children []*locktest.Child
	for range processes {
		children = append(children, locktest.Start(t, "stormed", path, file))
	}
	l := newLock(t, path)
	refused, evicted, rounds := 0, 0, 0
	for refused < 100 {
		rounds++
		require.Less(t, rounds, 100_000)
		q, err := filelock.Inspect(path)
		require.NoError(t, err)
		for _, ticket := range q.Tickets {
			switch _, err := filelock.Evict(path, ticket.Path); {
			case err == nil:
				evicted++
			default:
				require.True(t, errors.Is(err, filelock.ErrInside) || errors.Is(err, fs.ErrNotExist), "%v", err)
			}
		}
		// And one who is known to be inside: this process.
		if err := l.Acquire(t.Context()); err != nil {
			require.ErrorIs(t, err, filelock.ErrLost)
			continue
		}
		guard.Enter()
		q, err = filelock.Inspect(path)
		require.NoError(t, err)
		holder, ok := q.Holder()
		require.True(t, ok)
		require.Equal(t, os.Getpid(), holder.PID)
		_, err = filelock.Evict(path, holder.Path)
		require.ErrorIs(t, err, filelock.ErrInside)
		refused++
		guard.Leave()
		require.NoError(t, l.Unlock(), "it was robbed")
	}
	for _, c := range children {
		c.Go()
		c.Done()
	}
	t.Logf("%d of %d refused to evict the holder; %d others evicted; %d holds, %d overlaps", refused, refused, evicted, guard.Holds(), guard.Overlaps())
	require.Zero(t, guard.Overlaps(), "two were inside")
	require.Greater(t, evicted, 0)
}

// stormed takes the lock until it is told to stop. That its place is taken away again
// and again is no wonder, but what it holds must never be.
func stormed(args []string) error {
	l, err := filelock.New(args[0])
	if err != nil {
		return err
	}
	guard, err := locktest.OpenGuard(args[1])
	if err != nil {
		return err
	}
	var over atomic.Bool
	go func() { locktest.Gate(); over.Store(true) }()
	for !over.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), locktest.Stuck)
		err := l.Acquire(ctx)
		cancel()
		switch {
		case errors.Is(err, filelock.ErrLost):
			continue
		case err != nil:
			return err
		}
		guard.Enter()
		time.Sleep(200 * time.Microsecond) // the critical section
		guard.Leave()
		if err := l.Unlock(); err != nil {
			return fmt.Errorf("robbed: %w", err)
		}
	}
	return nil
}
