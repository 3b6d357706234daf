package inuse_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/inuse"
	"github.com/filelock-go/filelock/internal/locktest"
)

type thing struct{ _ [64]byte }

func fresh() *thing { return new(thing) }

// forgets waits until a map has no more than that.
func forgets(t *testing.T, m *inuse.Map[int, thing], left int) {
	t.Helper()
	require.Eventually(t, func() bool {
		runtime.GC()
		return m.Len() <= left
	}, locktest.Stuck, time.Millisecond)
}

// TestFirst: the first one is forgotten, too, once there was a second one, whichever of
// them is out of use first.
func TestFirst(t *testing.T) {
	t.Run("in use until then", func(t *testing.T) {
		var m inuse.Map[int, thing]
		first := m.Of(1, fresh)
		require.Same(t, first, m.Of(1, fresh))
		second := m.Of(2, fresh)
		runtime.GC()
		require.Equal(t, 2, m.Len())
		require.Same(t, first, m.Find(1))
		runtime.KeepAlive(first)
		forgets(t, &m, 1)
		require.Same(t, second, m.Find(2))
		runtime.KeepAlive(second)
		forgets(t, &m, 0)
	})
	t.Run("out of use by then", func(t *testing.T) {
		var m inuse.Map[int, thing]
		m.Of(1, fresh)
		require.Eventually(t, func() bool { runtime.GC(); return m.Find(1) == nil }, locktest.Stuck, time.Millisecond)
		m.Of(2, fresh)
		forgets(t, &m, 0)
	})
	t.Run("made anew", func(t *testing.T) {
		var m inuse.Map[int, thing]
		m.Of(1, fresh)
		require.Eventually(t, func() bool { runtime.GC(); return m.Find(1) == nil }, locktest.Stuck, time.Millisecond)
		again := m.Of(1, fresh)
		require.Same(t, again, m.Find(1))
		runtime.KeepAlive(again)
		forgets(t, &m, 0)
	})
}
