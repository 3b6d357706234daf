package local_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/turn"
)

// Heritable and Bequeath make a place a turn.Bequeather. It is left to an heir that
// goes on for a while.
func (p *place) Heritable() error { return nil }

const inheritance = time.Second

func (p *place) Bequeath() error {
	p.w.mu.Lock()
	p.w.note("bequeath %d", p.id)
	p.w.mu.Unlock()
	time.AfterFunc(inheritance, func() { p.Leave() })
	return nil
}

// TestBequeath: those behind get a place of their own before the turn is left to its
// heir, whatever the batch, and wait for that one.
func TestBequeath(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a, b, c := acquire(l, w), acquire(l, w), acquire(l, w)
		w.history()
		require.NoError(t, l.Bequeath(a.place.(turn.Bequeather)))
		b.mustWait(t)
		assert.Equal(t, []string{"join 2", "bequeath 1", "wait 2"}, w.history())
		time.Sleep(2 * inheritance)
		b.mustHold(t, 2)
		release(t, l, b, time.Hour)
		c.mustHold(t, 2)
		require.NoError(t, l.Bequeath(c.place.(turn.Bequeather))) // with nobody behind
		d := acquire(l, w)
		d.mustWait(t)
		time.Sleep(2 * inheritance)
		d.mustHold(t, 3)
		release(t, l, d, 0)
	})
}

// TestBequeathAbandoned: a place taken for those who gave up meanwhile is given up.
func TestBequeathAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a, b := acquire(l, w), acquire(l, w)
		w.onJoin = func(*place) { w.onJoin = nil; giveUp(l, b) }
		require.NoError(t, l.Bequeath(a.place.(turn.Bequeather)))
		b.mustFail(t, context.Canceled)
		time.Sleep(2 * inheritance)
		assert.Empty(t, w.queue())
	})
}

// TestBequeathShared: readers that share a place go on beside the heirs of one of them,
// and the last one leaves it to these.
func TestBequeathShared(t *testing.T) {
	bubble(t, func(t *testing.T, l *local.Line, w *world) {
		a, b := read(l, w), read(l, w)
		a.mustHold(t, 1)
		b.mustHold(t, 1)
		w.history()
		require.NoError(t, l.Bequeath(a.place.(turn.Bequeather)))
		assert.Empty(t, w.history())
		writer := acquire(l, w)
		writer.mustWait(t)
		w.history()
		release(t, l, b, testBatch)
		assert.Equal(t, []string{"bequeath 1"}, w.history())
		writer.mustWait(t)
		time.Sleep(2 * inheritance)
		writer.mustHold(t, 2)
		release(t, l, writer, 0)
	})
}
