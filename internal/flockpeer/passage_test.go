//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package flockpeer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/turn"
)

// fakeTurn is a passage through our queue. It notes whether the flock is free when it
// is called.
type fakeTurn struct {
	path  string
	calls []string
	lost  bool
	err   error // of Wait, Try and Leave
	stays bool  // it is not requeued

	losing chan struct{}
	gone   atomic.Bool // the turn is, for who looks
	onWait func()
}

func (f *fakeTurn) note(call string) {
	file, err := os.Open(f.path)
	free := err != nil || unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
	file.Close()
	if !free {
		call += " with flock"
	}
	f.calls = append(f.calls, call)
}

func (f *fakeTurn) Join(context.Context) error { f.note("join"); return f.err }
func (f *fakeTurn) Wait(context.Context) error { f.note("wait"); return f.err }
func (f *fakeTurn) Try(context.Context) error  { f.note("try"); return f.err }
func (f *fakeTurn) Resumable(error) bool       { return false }
func (f *fakeTurn) Leave() error               { f.note("leave"); return f.err }
func (f *fakeTurn) Lost() bool                 { return f.lost }
func (f *fakeTurn) Losing() <-chan struct{}    { return f.losing }
func (f *fakeTurn) Requeue() bool              { f.note("requeue"); return !f.stays }
func (f *fakeTurn) Report() turn.Report {
	return turn.Report{First: turn.Contender{ID: "own"}, Known: true}
}

func (f *fakeTurn) OnWait(told func()) { f.onWait = told }

func (f *fakeTurn) Survey(age time.Duration) turn.Report {
	return turn.Report{First: turn.Contender{ID: "seen " + age.String()}, Known: true}
}

func (f *fakeTurn) Standing() func() error {
	return func() error {
		if f.gone.Load() {
			return turn.ErrLost
		}
		return nil
	}
}

// plainTurn is a turn.Passage and no more.
type plainTurn struct{ turn.Passage }

func through(t *testing.T) (*Passage, *fakeTurn, *[]turn.Event) {
	t.Helper()
	f := Of(filepath.Join(t.TempDir(), "lock"))
	var events []turn.Event
	inner := &fakeTurn{path: f.path}
	return f.Through(inner, Exclusive, func(e turn.Event) { events = append(events, e) }), inner, &events
}

// TestOrder: the flock is taken once it is our turn, and given back before the turn
// is, to others of ours too.
func TestOrder(t *testing.T) {
	ctx := context.Background()
	p, inner, events := through(t)
	require.NoError(t, p.Join(ctx))
	require.NoError(t, p.Wait(ctx))
	inner.note("hold")
	require.True(t, p.Requeue())
	require.NoError(t, p.Try(ctx))
	inner.note("hold")
	inner.stays = true
	require.False(t, p.Requeue())
	require.NoError(t, p.Leave())
	require.Equal(t, []string{
		"join", "wait", "hold with flock", "requeue", "try", "hold with flock", "requeue", "leave",
	}, inner.calls)
	require.Empty(t, *events)
}

// TestGiveUp: who gives up while a peer is inside keeps its turn for whoever waits
// next, says who is inside, and asks our queue only once.
func TestGiveUp(t *testing.T) {
	p, inner, events := through(t)
	reader := enter(t, p.file.path, unix.LOCK_SH)
	err := p.Try(context.Background())
	require.Equal(t, turn.ErrBusy, err)
	require.True(t, p.Resumable(err))
	require.True(t, p.Report().First.FlockPeer)
	require.Equal(t, p.file.path, p.Report().First.ID)
	require.Equal(t, 1, p.Report().Ahead)
	ctx, cancel := brief()
	err = p.Wait(ctx)
	cancel()
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.True(t, p.Resumable(err))
	require.False(t, p.Resumable(turn.ErrLost))
	require.Len(t, *events, 1)
	require.Equal(t, turn.Waits, (*events)[0].Step)
	require.Equal(t, "own", (*events)[0].ID)
	require.True(t, (*events)[0].Other.FlockPeer)
	reader.leave(t)
	require.NoError(t, p.Wait(context.Background()))
	require.Equal(t, "own", p.Report().First.ID)
	require.NoError(t, p.Leave())
	require.Len(t, inner.calls, 2)
	require.Equal(t, "try with flock", inner.calls[0])
	// What the wait that was given up has left behind may have the flock for a moment.
	require.True(t, strings.HasPrefix(inner.calls[1], "leave"), inner.calls[1])
}

// TestLosses: what goes wrong on either side is told, once, and the flock given back.
func TestLosses(t *testing.T) {
	ctx := context.Background()
	errTurn := errors.New("the turn cannot be given up")
	t.Run("in our queue", func(t *testing.T) {
		p, inner, _ := through(t)
		inner.err = errTurn
		require.Equal(t, errTurn, p.Wait(ctx))
		require.Equal(t, errTurn, p.Leave())
		require.NoFileExists(t, p.file.path)
	})
	t.Run("the turn, while a peer was inside", func(t *testing.T) {
		p, inner, _ := through(t)
		inner.lost = true
		err := p.Wait(ctx)
		require.ErrorIs(t, err, turn.ErrLost)
		require.False(t, p.Resumable(err))
		enter(t, p.file.path, unix.LOCK_EX)
	})
	for how, lose := range map[string]func(*fakeTurn){
		"the turn, found by a look":        func(f *fakeTurn) { f.gone.Store(true); f.err = turn.ErrLost },
		"the turn, by what watches it":     func(f *fakeTurn) { close(f.losing); f.err = turn.ErrLost },
		"the turn, which leaves no ticket": func(f *fakeTurn) { f.gone.Store(true) },
	} {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			enter(t, path, unix.LOCK_EX) // for ever
			synctest.Test(t, func(t *testing.T) {
				inner := &fakeTurn{path: path, losing: make(chan struct{})}
				p := Of(path).Through(inner, Exclusive, nil)
				failed := make(chan error, 1)
				go func() { failed <- p.Wait(ctx) }()
				time.Sleep(time.Minute)
				require.Empty(t, failed)
				synctest.Wait()
				lose(inner)
				began := time.Now()
				err := <-failed
				require.LessOrEqual(t, time.Since(began), watchInterval)
				require.ErrorIs(t, err, turn.ErrLost)
				require.EqualError(t, err, "the lock was lost while a peer had the flock")
				require.False(t, p.Resumable(err))
				require.NoError(t, p.Leave(), "it was told already")
			})
		})
	}
	t.Run("the turn, while it was held", func(t *testing.T) {
		p, inner, _ := through(t)
		require.NoError(t, p.Wait(ctx))
		inner.err = turn.ErrLost
		require.ErrorIs(t, p.Leave(), turn.ErrLost)
	})
	t.Run("another lock, which ends the wait", func(t *testing.T) {
		p, _, _ := through(t)
		enter(t, p.file.path, unix.LOCK_EX)
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(turn.ErrLost)
		err := p.Wait(ctx)
		require.Equal(t, context.Canceled, err)
		require.True(t, p.Resumable(err))
	})
	for _, requeued := range []bool{false, true} {
		t.Run("the file", func(t *testing.T) {
			p, inner, events := through(t)
			require.NoError(t, p.Wait(ctx))
			require.NoError(t, os.Remove(p.file.path))
			if requeued {
				require.False(t, p.Requeue(), "nobody would hear of it")
			}
			inner.err = errTurn
			err := p.Leave()
			require.ErrorIs(t, err, turn.ErrLost)
			require.ErrorIs(t, err, errTurn)
			require.True(t, p.Lost())
			require.Len(t, *events, 1)
			require.Equal(t, turn.LostTurn, (*events)[0].Step)
		})
	}
}

// TestLookUnanswered: a look at the own turn that a server does not answer keeps no wait
// from its end for long, and no other one begins meanwhile.
func TestLookUnanswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	enter(t, path, unix.LOCK_EX)
	synctest.Test(t, func(t *testing.T) {
		silent := &silentTurn{fakeTurn: fakeTurn{path: path}, answer: make(chan struct{})}
		p := Of(path).Through(silent, Exclusive, nil)
		for range 3 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			began := time.Now()
			require.ErrorIs(t, p.Wait(ctx), context.DeadlineExceeded)
			cancel()
			require.LessOrEqual(t, time.Since(began), time.Minute+lookPatience)
		}
		require.EqualValues(t, 1, silent.looks.Load())
		close(silent.answer)
	})
}

// silentTurn is a turn at which nobody can look.
type silentTurn struct {
	fakeTurn
	looks  atomic.Int32
	answer chan struct{}
}

func (s *silentTurn) Standing() func() error {
	return func() error {
		s.looks.Add(1)
		<-s.answer
		return nil
	}
}

// TestSeen: who waits in our queue is seen as without peers, and who waits for a peer
// sees that one; with a queue that shows nothing, too.
func TestSeen(t *testing.T) {
	p, inner, _ := through(t)
	told := 0
	p.OnWait(func() { told++ })
	require.NotNil(t, inner.onWait)
	inner.onWait()
	require.Equal(t, 1, told)
	require.Equal(t, "seen 1s", p.Survey(time.Second).First.ID)

	reader := enter(t, p.file.path, unix.LOCK_SH)
	ctx, cancel := brief()
	require.ErrorIs(t, p.Wait(ctx), context.DeadlineExceeded)
	cancel()
	require.Equal(t, 2, told)
	require.True(t, p.Survey(time.Second).First.FlockPeer)
	reader.leave(t)
	require.NoError(t, p.Wait(context.Background()))
	require.Equal(t, "seen 1s", p.Survey(time.Second).First.ID)
	p.OnWait(nil)
	require.Nil(t, inner.onWait)

	require.NoError(t, p.Standing()())
	inner.gone.Store(true)
	require.ErrorIs(t, p.Standing()(), turn.ErrLost)
	require.NoError(t, p.Leave())

	plain := p.file.Through(plainTurn{inner}, Exclusive, nil)
	plain.OnWait(func() { told++ })
	require.Equal(t, "own", plain.Survey(time.Second).First.ID)
	require.NoError(t, plain.Standing()())
}
