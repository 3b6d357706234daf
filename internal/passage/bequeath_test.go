package passage

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// looks has a ticket that was left to heirs be held for so many looks, and returns when
// they were made.
func looks(t *testing.T, held int) *[]time.Duration {
	t.Helper()
	was := settled
	t.Cleanup(func() { settled = was })
	var at []time.Duration
	began := time.Now()
	settled = func(_ ticketdir.Queue, name string) bool {
		require.Equal(t, "own0", name)
		at = append(at, time.Since(began))
		return len(at) > held
	}
	return &at
}

// inside returns a passage that is inside with a ticket.
func inside(t *testing.T, d *fakeDir) (*Passage, *scene) {
	t.Helper()
	s := only(t, d)
	p := New(&s.cfg)
	require.NoError(t, p.Join(t.Context()))
	require.NoError(t, p.Wait(t.Context()))
	return p, s
}

// TestBequeath: what comes of it decides whether somebody looks after the ticket, and
// what is told.
func TestBequeath(t *testing.T) {
	for _, tt := range []struct {
		name     string
		dir      *fakeDir
		err      error
		want     error
		step     turn.Step
		looks    int
		bequeath int
	}{
		{"heirs", &fakeDir{shared: true, heirs: true}, nil, nil, turn.Bequeathed, 4, 1},
		{"no heir is left", &fakeDir{shared: true}, nil, nil, turn.Released, 0, 1},
		{"nobody ever had the witness", &fakeDir{}, nil, nil, turn.Released, 0, 0},
		{"lost", &fakeDir{shared: true}, queue.ErrGone, turn.ErrLost, turn.LostTurn, 0, 1},
		{"not known", &fakeDir{shared: true}, syscall.EMFILE, syscall.EMFILE, turn.Abandoned, 4, 1},
	} {
		for _, prompt := range []bool{true, false} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tt.dir.calls, tt.dir.oneKernel = nil, prompt
					at := looks(t, 3)
					p, s := inside(t, tt.dir.on("bequeath", func(int) error { return tt.err }))
					require.NoError(t, p.Heritable())
					err := p.Bequeath()
					require.ErrorIs(t, err, tt.want)
					require.Equal(t, tt.want == nil, err == nil)
					require.Equal(t, tt.step, s.steps()[1])
					require.True(t, s.events[1].Inside)
					_, err = p.Witness()
					require.Error(t, err)
					time.Sleep(time.Hour)
					synctest.Wait()
					require.Len(t, *at, tt.looks)
					require.Equal(t, tt.bequeath, tt.dir.count("bequeath"))
					require.Equal(t, 1-tt.bequeath, tt.dir.count("remove"))
				})
			})
		}
	}
}

// TestEstate: where others have to wait until the one who bequeathed looks, it does so
// each second; else it takes its time.
func TestEstate(t *testing.T) {
	for name, tt := range map[string]struct {
		tidied bool
		pause  time.Duration
	}{"others see to it": {true, lastRetry}, "others cannot": {false, untidied}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const held = 20
				at := looks(t, held)
				p, _ := inside(t, &fakeDir{shared: true, heirs: true, tidied: tt.tidied, oneKernel: true})
				require.NoError(t, p.Bequeath())
				time.Sleep(time.Hour)
				synctest.Wait()
				require.Len(t, *at, held+1)
				require.Equal(t, firstRetry, (*at)[0])
				require.Equal(t, tt.pause, (*at)[held]-(*at)[held-1])
			})
		})
	}
}

// TestBequeathUnanswered: it does not wait for ever, and goes on.
func TestBequeathUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := looks(t, 0)
		answer := make(chan struct{})
		p, s := inside(t, (&fakeDir{shared: true, heirs: true}).on("bequeath", func(int) error { <-answer; return nil }))
		began := time.Now()
		require.ErrorIs(t, p.Bequeath(), turn.ErrUnanswered)
		require.Equal(t, leavePatience, time.Since(began))
		require.Equal(t, []turn.Step{turn.Enqueued, turn.Abandoned}, s.steps())
		require.Empty(t, *at)
		close(answer)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, *at, 1)
	})
}
