package passage

import (
	"context"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// surveyed returns a passage that has its turn and one that waits for it, both in a
// directory on disk that is, or is not, taken for one that asks a server.
func surveyed(t *testing.T, far bool) (holder, waiter *Passage, waited <-chan error) {
	t.Helper()
	cfg := &Config{Queue: ticketdir.Queue{Dir: t.TempDir(), Prefix: prefix, Mode: 0o644}, Poll: time.Second, Site: &Site{}}
	holder, waiter = New(cfg), New(cfg)
	require.NoError(t, holder.Join(t.Context()))
	require.NoError(t, holder.Wait(t.Context()))
	require.NoError(t, waiter.Join(t.Context()))
	begun := make(chan struct{}, 100)
	waiter.OnWait(func() { begun <- struct{}{} })
	done := make(chan error, 1)
	go func() { done <- waiter.Wait(context.Background()) }()
	<-begun
	cfg.Site.prompt.Store(!far)
	return holder, waiter, done
}

// leaveBoth ends what surveyed began.
func leaveBoth(t *testing.T, holder, waiter *Passage, waited <-chan error) {
	t.Helper()
	require.NoError(t, holder.Leave())
	require.NoError(t, <-waited)
	require.NoError(t, waiter.Leave())
	ticketdir.CloseIdle()
}

func TestSurvey(t *testing.T) {
	for name, far := range map[string]bool{"near": false, "far": true} {
		t.Run(name, func(t *testing.T) {
			holder, waiter, waited := surveyed(t, far)
			r := waiter.Survey(0)
			require.True(t, r.Known)
			require.Equal(t, 1, r.Ahead)
			require.Equal(t, holder.dir.Name(), filepath.Base(r.First.ID))
			require.NotEmpty(t, r.First.Reason)
			own := holder.Survey(0)
			require.True(t, own.Known)
			require.Zero(t, own.Ahead, "it is inside")
			require.True(t, own.First.Self)
			leaveBoth(t, holder, waiter, waited)
		})
	}
}

// TestSurveyAge: several who ask look once.
func TestSurveyAge(t *testing.T) {
	for name, far := range map[string]bool{"near": false, "far": true} {
		t.Run(name, func(t *testing.T) {
			holder, waiter, waited := surveyed(t, far)
			var looks atomic.Int32
			openToSurvey = func(q ticketdir.Queue) (*ticketdir.View, error) {
				looks.Add(1)
				return ticketdir.Open(q)
			}
			defer func() { openToSurvey = ticketdir.Open }()
			for range 10 {
				require.True(t, waiter.Survey(time.Hour).Known)
			}
			require.EqualValues(t, 1, looks.Load())
			waiter.Survey(0)
			require.Equal(t, map[bool]int32{false: 2, true: 1}[far], looks.Load(), "a server is asked once a second")
			leaveBoth(t, holder, waiter, waited)
		})
	}
}

// TestSurveyOfSilentServer: nobody waits long for one that does not answer, it is asked
// once, and what the waiter itself has seen is told meanwhile.
func TestSurveyOfSilentServer(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the wait in a bubble is for files there")
	}
	synctest.Test(t, func(t *testing.T) {
		holder, waiter, waited := surveyed(t, true)
		var calls atomic.Int32
		answer := make(chan struct{})
		openToSurvey = func(q ticketdir.Queue) (*ticketdir.View, error) {
			calls.Add(1)
			<-answer
			return ticketdir.Open(q)
		}
		defer func() { openToSurvey = ticketdir.Open }()
		for range 5 {
			began := time.Now()
			r := waiter.Survey(0)
			require.LessOrEqual(t, time.Since(began), answerPatience)
			require.True(t, r.Known)
			require.Equal(t, 1, r.Ahead)
			require.Equal(t, holder.dir.Name(), filepath.Base(r.First.ID))
		}
		require.EqualValues(t, 1, calls.Load())
		close(answer)
		synctest.Wait()
		waiter.Survey(0)
		require.EqualValues(t, 1, calls.Load(), "the late answer counts")
		time.Sleep(2 * patrolInterval)
		waiter.Survey(0)
		require.EqualValues(t, 2, calls.Load())
		leaveBoth(t, holder, waiter, waited)
	})
}

// TestSurveyInDoorway: nothing is said before it is known who is ahead.
func TestSurveyInDoorway(t *testing.T) {
	holder, waiter, waited := surveyed(t, false)
	late := New(waiter.cfg)
	require.NoError(t, late.Join(t.Context()))
	require.Equal(t, turn.Report{}, late.Survey(0))
	require.NoError(t, late.Leave())
	leaveBoth(t, holder, waiter, waited)
}
