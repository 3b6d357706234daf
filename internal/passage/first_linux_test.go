package passage

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// restingIn uses a queue until a ticket rests there, and returns what it is to those who
// saw it while it was inside.
func restingIn(t *testing.T, cfg *Config) turn.Contender {
	t.Helper()
	cfg.Linger = time.Hour
	for range 3 {
		p := New(cfg)
		require.NoError(t, p.Join(t.Context()))
		require.NoError(t, p.Wait(t.Context()))
		require.NoError(t, p.Leave())
	}
	t.Cleanup(func() {
		require.NoError(t, cfg.Site.GiveUp())
		ticketdir.CloseIdle()
	})
	files, err := os.ReadDir(cfg.Queue.Dir)
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("tickets do not rest here")
	}
	require.Len(t, files, 1)
	return turn.Contender{ID: filepath.Join(cfg.Queue.Dir, files[0].Name()), State: turn.Inside, Reason: "as it was"}
}

func configIn(dir string) *Config {
	return &Config{Queue: ticketdir.Queue{Dir: dir, Prefix: prefix, Mode: 0o644}, Poll: time.Second, Site: &Site{}}
}

// TestFirstHasLeft: whoever was inside when it was last seen, and has left since, is not
// named for it, however long the queue was; nor if its ticket rests.
func TestFirstHasLeft(t *testing.T) {
	cfg := configIn(t.TempDir())
	rests := restingIn(t, cfg)
	for _, ahead := range []int{1, many + 1} {
		_, ok := First(cfg, turn.Report{First: rests, Known: true, Ahead: ahead})
		require.False(t, ok, "it rests, and %d were ahead", ahead)
	}
	back := New(cfg)
	require.NoError(t, back.Join(t.Context()))
	require.NoError(t, back.Wait(t.Context()))
	for _, ahead := range []int{1, many + 1} {
		c, ok := First(cfg, turn.Report{First: rests, Known: true, Ahead: ahead})
		require.True(t, ok)
		require.Equal(t, rests.ID, c.ID)
		require.Equal(t, turn.Inside, c.State)
	}
	require.NoError(t, back.Leave())
	require.NoError(t, cfg.Site.GiveUp())
	for _, ahead := range []int{1, many + 1} {
		_, ok := First(cfg, turn.Report{First: rests, Known: true, Ahead: ahead})
		require.False(t, ok, "it is gone, and %d were ahead", ahead)
	}
}

// TestReportPassesOverWhoIsAway: of a reader that is inside and one whose ticket rests
// before it, a writer that waits names the one inside.
func TestReportPassesOverWhoIsAway(t *testing.T) {
	dir := t.TempDir()
	away := configIn(dir)
	away.Queue.Shared = true
	rests := restingIn(t, away)
	reads, writes := configIn(dir), configIn(dir)
	reads.Queue.Shared = true
	reader, writer := New(reads), New(writes)
	require.NoError(t, reader.Join(t.Context()))
	require.NoError(t, reader.Wait(t.Context()))
	require.NoError(t, writer.Join(t.Context()))
	waits := make(chan struct{}, 100)
	writer.OnWait(func() { waits <- struct{}{} })
	done := make(chan error, 1)
	go func() { done <- writer.Wait(context.Background()) }()
	<-waits
	first, ahead, _ := writer.contender.Ahead()
	require.Equal(t, filepath.Base(rests.ID), first.Name)
	require.Equal(t, 2, ahead)
	writes.Site.memory.age(first.Name)
	for state, want := range map[liveness.State]string{
		liveness.Resting: reader.Ticket(), liveness.Dead: reader.Ticket(), liveness.Alive: first.Name,
	} {
		writes.Site.memory.decide(first.Name, liveness.Verdict{State: state, Reason: "as it was found"})
		r := writer.Report()
		require.Equal(t, want, filepath.Base(r.First.ID))
		require.Equal(t, 2, r.Ahead)
		require.Equal(t, 2, r.Shared)
	}
	require.NoError(t, reader.Leave())
	require.NoError(t, <-done)
	require.NoError(t, writer.Leave())
}

// TestReportIsOfOneMoment: while it becomes known who is ahead, a report never has more
// readers ahead than there are tickets: who would share the lock would have fewer than
// none ahead.
func TestReportIsOfOneMoment(t *testing.T) {
	dir := t.TempDir()
	reads, writes := configIn(dir), configIn(dir)
	reads.Queue.Shared = true
	reader := New(reads)
	require.NoError(t, reader.Join(t.Context()))
	require.NoError(t, reader.Wait(t.Context()))
	for range 500 {
		writer := New(writes)
		require.NoError(t, writer.Join(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		writer.OnWait(cancel)
		done := make(chan error, 1)
		go func() { done <- writer.Wait(ctx) }()
		for waits := true; waits; {
			select {
			case err := <-done:
				require.ErrorIs(t, err, context.Canceled)
				waits = false
			default:
				r := writer.Report()
				require.LessOrEqual(t, r.Shared, r.Ahead)
			}
		}
		require.NoError(t, writer.Leave())
	}
	require.NoError(t, reader.Leave())
}

// TestTurnOfMarkedTicketIsLost: a ticket that has rested, and is removed by a stranger
// while its owner is inside again, does not simply rest anew: the turn was lost.
func TestTurnOfMarkedTicketIsLost(t *testing.T) {
	for _, settled := range []bool{false, true} {
		cfg := configIn(t.TempDir())
		rests := restingIn(t, cfg)
		comeBack := func() *Passage {
			p := New(cfg)
			require.NoError(t, p.Join(t.Context()))
			require.NoError(t, p.Wait(t.Context()))
			require.Equal(t, filepath.Base(rests.ID), p.Ticket(), "it came back to its ticket")
			return p
		}
		p := comeBack()
		if settled { // the directory's times have stood long enough to tell of a change
			times, err := p.dir.Times()
			require.NoError(t, err)
			require.Eventually(t, func() bool { return p.dir.Settled(times) }, 5*time.Second, time.Millisecond)
			require.NoError(t, p.Leave())
			p = comeBack()
		}
		require.NoError(t, os.Remove(rests.ID))
		require.ErrorIs(t, p.Leave(), turn.ErrLost, "settled: %t", settled)
	}
}
