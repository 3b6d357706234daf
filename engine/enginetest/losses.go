package enginetest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/engine"
)

// lost: whose place is taken away is told, and the next one enters.
func lost(t table) {
	look := t.NewClient(t.T)
	l := t.on(filelock.WithBatch(0))
	why := make(chan error, 1)
	done := start(func() error {
		return l.Do(t.context(), func(ctx context.Context) error {
			<-ctx.Done()
			why <- context.Cause(ctx)
			return nil
		})
	})
	t.queued(look, 1)
	for !l.Held() {
		time.Sleep(time.Millisecond)
	}
	told := l.Lost()
	next := t.on()
	entered := start(func() error { return next.Acquire(t.context()) })
	t.queued(look, 2)
	t.Rob(t.T, t.name)
	closed(t, told, t.Lease)
	require.ErrorIs(t, result(t, why), filelock.ErrLost)
	require.ErrorIs(t, result(t, done), filelock.ErrLost)
	require.NoError(t, result(t, entered))
	require.NoError(t, next.Unlock())
	require.NoError(t, l.Acquire(t.context()), "it is as new")
	require.True(t, l.Held())
	require.NoError(t, l.Unlock())
	t.queued(look, 0)
}

// lostInQueue: an Unlock of what was lost says so, and leaves what is another's.
func lostInQueue(t table) {
	look := t.NewClient(t.T)
	l := t.holder()
	t.Rob(t.T, t.name)
	next := t.holder()
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	t.queued(look, 1)
	require.True(t, next.Held())
	require.NoError(t, next.Unlock())
}

// kept: a lease is renewed while its owner waits or holds.
func kept(t table) {
	l, next := t.holder(), t.on()
	done := start(func() error { return next.Acquire(t.context()) })
	select {
	case <-l.Lost():
		t.Fatal("it is lost")
	case <-time.After(t.Lease * 3 / 2):
	}
	blocks(t, done)
	require.True(t, l.Held())
	require.NoError(t, l.Unlock())
	require.NoError(t, result(t, done))
	require.NoError(t, next.Unlock())
}

// cut returns a client that can be cut off.
func (t table) cut() Client {
	c := t.NewClient(t.T)
	if c.Cut == nil {
		t.Skip("there is nothing between it and the queue that could be cut")
	}
	t.Cleanup(func() { c.Cut(false) })
	return c
}

// silence: where nobody answers, all come back at their moment, and say why.
func silence(t table) {
	c := t.cut()
	l := t.at(c)
	require.NoError(t, l.Acquire(t.context()))
	c.Cut(true)
	told := l.Lost()
	began := time.Now()
	err := l.Unlock()
	require.Less(t, time.Since(began), t.Lease+lateness)
	require.ErrorIs(t, err, engine.ErrUnavailable)
	require.False(t, l.Held())
	_ = told

	const limit = 50 * time.Millisecond
	for _, acquire := range []func(context.Context) error{l.Acquire, l.TryAcquire} {
		ctx, end := context.WithTimeout(context.Background(), limit)
		began := time.Now()
		err := acquire(ctx)
		end()
		require.Less(t, time.Since(began), limit+lateness)
		require.ErrorIs(t, err, engine.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorAs(t, err, new(*filelock.BusyError))
		require.Contains(t, err.Error(), "gave up after")
	}
	c.Cut(false)
	require.NoError(t, l.Acquire(t.context()))
	require.NoError(t, l.Unlock())
	t.queued(t.NewClient(t.T), 0)
}

// silenceWhileWaiting: a waiter that is cut off until its lease has run out has lost
// its place, and knows why.
func silenceWhileWaiting(t table) {
	c := t.cut()
	holder := t.holder()
	l := t.at(c)
	done := start(func() error { return l.Acquire(t.context()) })
	t.queued(t.NewClient(t.T), 2)
	c.Cut(true)
	err := result(t, done)
	require.ErrorIs(t, err, filelock.ErrLost)
	require.ErrorIs(t, err, engine.ErrUnavailable)
	t.queued(t.NewClient(t.T), 1)
	require.NoError(t, holder.Unlock())
}

// toldInTime: a holder that is cut off knows that the lock is lost before the next
// one has it.
func toldInTime(t table) {
	c := t.cut()
	l := t.at(c)
	require.NoError(t, l.Acquire(t.context()))
	next := t.on()
	entered := start(func() error {
		err := next.Acquire(t.context())
		if err == nil && l.Held() {
			t.Error("both hold it")
		}
		return err
	})
	t.queued(t.NewClient(t.T), 2)
	c.Cut(true)
	told := l.Lost()
	require.NoError(t, result(t, entered))
	select {
	case <-told:
	default:
		t.Error("the next one has it, and the holder was not told")
	}
	require.ErrorIs(t, l.Unlock(), filelock.ErrLost)
	require.NoError(t, next.Unlock())
}
