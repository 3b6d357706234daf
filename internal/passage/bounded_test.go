package passage

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/turn"
)

// hang returns a hook that stands still until answer is called.
func hang(err error) (hook func(int) error, answer func()) {
	c := make(chan struct{})
	hook = func(int) error {
		<-c
		return err
	}
	return hook, sync.OnceFunc(func() { close(c) })
}

// TestComesBackInTime: whatever call a server does not answer, who waits for it
// comes back at its moment, and what was begun is undone when it ends.
func TestComesBackInTime(t *testing.T) {
	const patience = 300 * time.Millisecond
	errServer := &fs.PathError{Op: "call", Path: "ticket", Err: syscall.EIO}
	type method func(p *Passage, ctx context.Context) error
	tests := []struct {
		method string
		call   method
		stuck  string // the directory's call that does not come back
		answer error  // what it comes back with in the end
	}{
		{"Join", (*Passage).Join, "create", nil},
		{"Join", (*Passage).Join, "create", errServer},
		{"Wait", (*Passage).Wait, "list", nil},
		{"Wait", (*Passage).Wait, "settle", nil},
		{"Wait", (*Passage).Wait, "enter", nil},
		{"Wait", (*Passage).Wait, "enter", errServer},
		{"Wait", (*Passage).Wait, "enter", queue.ErrGone},
		{"Try", (*Passage).Try, "list", nil},
		{"Try", (*Passage).Try, "enter", nil},
		{"Try", (*Passage).Try, "enter", errServer},
	}
	for _, tt := range tests {
		name := tt.method + " " + tt.stuck
		if tt.answer != nil {
			name += ", " + tt.answer.Error()
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hook, answer := hang(tt.answer)
				defer answer()
				// A lost ticket would be made again in the background.
				s := newScene(t, func(n int) *fakeDir {
					if n > 0 {
						return &fakeDir{}
					}
					return (&fakeDir{}).on(tt.stuck, hook)
				})
				p := New(&s.cfg)
				d := s.dirs[0]
				if tt.method != "Join" {
					require.NoError(t, p.Join(t.Context()))
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				began := time.Now()
				err := tt.call(p, ctx)
				require.Equal(t, patience+lateness, time.Since(began))
				require.ErrorIs(t, err, turn.ErrUnanswered)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.False(t, p.Resumable(err), "nobody can go on with it")

				began = time.Now()
				require.NoError(t, p.Leave(), "the call that was abandoned sees to it")
				require.Zero(t, time.Since(began))
				require.Zero(t, d.count("remove"))

				answer()
				time.Sleep(time.Hour)
				synctest.Wait()
				for _, d := range s.dirs {
					require.LessOrEqual(t, d.count("create"), d.count("remove"), "%s stays", d.name)
				}
				require.NotEmpty(t, s.dirs)
			})
		})
	}
}

// TestTryComesBack: a try waits for a call no longer than its caller has time, and
// for others no longer than it has patience.
func TestTryComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook, answer := hang(nil)
		s := only(t, (&fakeDir{}).on("enter", hook))
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*tryPatience)
		defer cancel()
		err := p.Try(ctx)
		require.Equal(t, 3*tryPatience+lateness, time.Since(began))
		require.ErrorIs(t, err, turn.ErrUnanswered)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, p.Resumable(err))
		require.NoError(t, p.Leave())
		answer()
		synctest.Wait()
		require.Equal(t, 1, s.dirs[0].count("remove"))
	})
}

// TestTryTellsErrors even if they come when its time is over.
func TestTryTellsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := only(t, (&fakeDir{}).on("enter", func(int) error {
			time.Sleep(tryPatience + lateness - 1)
			return syscall.EIO
		}))
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.Equal(t, syscall.EIO, p.Try(t.Context()))
		require.NoError(t, p.Leave())
	})
}

// TestAnswersJustLate: a call that comes back by itself within the lateness is
// not abandoned. Its error counts; its success came too late.
func TestAnswersJustLate(t *testing.T) {
	errServer := errors.New("the server says no")
	for answer, want := range map[error]error{nil: context.DeadlineExceeded, errServer: errServer} {
		synctest.Test(t, func(t *testing.T) {
			s := only(t, (&fakeDir{}).on("enter", func(int) error {
				time.Sleep(time.Second + lateness - 1)
				return answer
			}))
			p := New(&s.cfg)
			require.NoError(t, p.Join(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.Equal(t, want, p.Wait(ctx))
			require.NoError(t, p.Leave())
			require.Equal(t, 1, s.dirs[0].count("remove"))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := only(t, (&fakeDir{}).on("create", func(int) error {
			time.Sleep(time.Second + lateness - 1)
			return nil
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, context.DeadlineExceeded, New(&s.cfg).Join(ctx))
		require.Equal(t, 1, s.dirs[0].count("remove"), "a place that nobody leaves")
	})
}

// TestAbandonedRemovalIsRetried: the ticket of an abandoned passage is removed
// in the end, though nobody waits for it.
func TestAbandonedRemovalIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook, answer := hang(nil)
		s := only(t, (&fakeDir{}).on("enter", hook).on("remove", failures(3, syscall.EIO)))
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Wait(ctx), turn.ErrUnanswered)
		require.NoError(t, p.Leave())
		answer()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, 1, s.dirs[0].count("quit"), "others may remove it meanwhile")
		require.Equal(t, 4, s.dirs[0].count("remove"))
	})
}

// TestPromptIsNotBounded: this kernel's own filesystem answers, and one goroutine
// more for each call would cost more than the call.
func TestPromptIsNotBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := only(t, (&fakeDir{oneKernel: true}).
			on("enter", func(int) error { time.Sleep(time.Hour); return nil }).
			on("remove", func(int) error { time.Sleep(time.Hour); return nil }))
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.NoError(t, p.Wait(ctx))
		require.Equal(t, time.Hour, time.Since(began))
		require.NoError(t, p.Leave())
		require.Equal(t, 2*time.Hour, time.Since(began))
	})
}

// failures is a hook that fails so often, and then succeeds.
func failures(n int, err error) func(int) error {
	return func(call int) error {
		if call <= n {
			return err
		}
		return nil
	}
}

func TestLeave(t *testing.T) {
	tests := []struct {
		name   string
		inside bool
		answer error
		want   error
		steps  []turn.Step
	}{
		{"before its turn", false, nil, nil, []turn.Step{turn.Enqueued, turn.Left}},
		{"from inside", true, nil, nil, []turn.Step{turn.Enqueued, turn.Released}},
		{"before its turn, and it was taken away", false, queue.ErrGone, nil, []turn.Step{turn.Enqueued, turn.Left}},
		{"from inside, and it was taken away", true, queue.ErrGone, turn.ErrLost, []turn.Step{turn.Enqueued, turn.Released, turn.LostTurn}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := only(t, (&fakeDir{}).on("remove", func(int) error { return tt.answer }))
			p := New(&s.cfg)
			require.NoError(t, p.Join(t.Context()))
			if tt.inside {
				require.NoError(t, p.Wait(t.Context()))
			}
			require.Equal(t, tt.want, p.Leave())
			require.Equal(t, tt.want != nil, p.Lost())
			require.Equal(t, tt.steps, s.steps())
			require.Zero(t, s.dirs[0].count("quit"))
		})
	}
}

// TestLeaveUnanswered: who leaves does not wait for ever. What was begun is
// finished later, and tried again if it fails then.
func TestLeaveUnanswered(t *testing.T) {
	for _, tt := range []struct {
		name           string
		answer         error
		removes, quits int
	}{
		{"removed late", nil, 1, 0},
		{"gone", queue.ErrGone, 1, 0},
		{"fails late", syscall.EIO, 4, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := make(chan struct{})
				s := only(t, (&fakeDir{}).on("remove", func(n int) error {
					<-c
					return failures(3, tt.answer)(n)
				}))
				p := New(&s.cfg)
				require.NoError(t, p.Join(t.Context()))
				require.NoError(t, p.Wait(t.Context()))
				began := time.Now()
				require.ErrorIs(t, p.Leave(), turn.ErrUnanswered)
				require.Equal(t, leavePatience, time.Since(began))
				require.Equal(t, []turn.Step{turn.Enqueued, turn.Abandoned}, s.steps())
				require.True(t, s.events[1].Inside)
				require.ErrorIs(t, s.events[1].Err, turn.ErrUnanswered)
				time.Sleep(time.Hour)
				synctest.Wait()
				require.Equal(t, 1, s.dirs[0].count("remove"), "the call goes on, and is not made again")
				close(c)
				time.Sleep(time.Hour)
				synctest.Wait()
				require.Equal(t, tt.removes, s.dirs[0].count("remove"))
				require.Equal(t, tt.quits, s.dirs[0].count("quit"))
			})
		})
	}
}

// TestLeaveInTime: a removal that takes its time is waited for.
func TestLeaveInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := only(t, (&fakeDir{}).on("remove", func(int) error { time.Sleep(leavePatience - 1); return nil }))
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.NoError(t, p.Wait(t.Context()))
		require.NoError(t, p.Leave())
		require.Equal(t, []turn.Step{turn.Enqueued, turn.Released}, s.steps())
	})
}

// TestLeaveAWait: whoever has waited in vain has had its time: the removal goes on
// without it.
func TestLeaveAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := only(t, (&fakeDir{}).on("remove", func(n int) error {
			time.Sleep(time.Minute)
			return failures(1, syscall.EIO)(n)
		}))
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		began := time.Now()
		require.NoError(t, p.Leave())
		require.Equal(t, lateness, time.Since(began))
		time.Sleep(time.Hour)
		require.Equal(t, 2, s.dirs[0].count("remove"), "what fails is tried again")
	})
}

// TestFewAreUnanswered: of calls that do not come back there are not more and
// more, however often it is tried.
func TestFewAreUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook, answer := hang(nil)
		s := newScene(t, func(int) *fakeDir { return (&fakeDir{}).on("create", hook) })
		for range 10 * mostUnanswered {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			err := New(&s.cfg).Join(ctx)
			require.ErrorIs(t, err, turn.ErrUnanswered)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.InDelta(t, time.Second, time.Since(began), float64(2*lateness))
			cancel()
		}
		calls := 0
		for _, d := range s.dirs {
			calls += d.count("create")
		}
		require.Equal(t, mostUnanswered, calls)
		answer()
		synctest.Wait()
		require.NoError(t, New(&s.cfg).Join(t.Context()), "it answers again")
	})
}

// TestRemovalIsRetried with growing pauses, until it succeeds or there is
// nothing to remove any more. The ticket's locks are given up at once.
func TestRemovalIsRetried(t *testing.T) {
	errQuit := errors.New("its locks stay")
	const fails = 14
	for _, tt := range []struct {
		name string
		end  error // what ends it
		quit error
	}{
		{"until it succeeds", nil, nil},
		{"until it is gone", queue.ErrGone, nil},
		{"its locks cannot be given up either", nil, errQuit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Duration
				began := time.Now()
				s := only(t, (&fakeDir{}).
					on("remove", func(n int) error {
						at = append(at, time.Since(began))
						if n <= fails {
							return syscall.EROFS
						}
						return tt.end
					}).
					on("quit", func(int) error { return tt.quit }))
				p := New(&s.cfg)
				require.NoError(t, p.Join(t.Context()))
				require.NoError(t, p.Wait(t.Context()))
				err := p.Leave()
				require.ErrorIs(t, err, syscall.EROFS)
				if tt.quit != nil {
					require.ErrorIs(t, err, tt.quit)
				} else {
					require.ErrorContains(t, err, "tried again")
				}
				require.Equal(t, []turn.Step{turn.Enqueued, turn.Abandoned}, s.steps())
				require.ErrorIs(t, s.events[1].Err, syscall.EROFS)
				require.Equal(t, 1, s.dirs[0].count("quit"))

				time.Sleep(24 * time.Hour)
				synctest.Wait()
				require.Len(t, at, fails+1)
				require.Zero(t, at[0])
				pause := firstRetry
				for i := range fails {
					require.Equal(t, pause, at[i+1]-at[i], "before try %d", i+1)
					pause = min(2*pause, lastRetry)
				}
				require.Equal(t, lastRetry, pause)
			})
		})
	}
}

// taken is a hook for Enter: so many tickets are taken away first, each after a
// while.
func taken(s **scene, tickets int, after time.Duration, why error) func(int) error {
	return func(int) error {
		time.Sleep(after)
		if len((*s).dirs) <= tickets {
			return why
		}
		return nil
	}
}

// TestRestart: who is robbed of its ticket before it is inside takes another one.
func TestRestart(t *testing.T) {
	errServer := errors.New("the server says no")
	tests := []struct {
		name    string
		why     error
		tickets int           // that are taken away
		after   time.Duration // each
		want    error
		taken   int // tickets taken in all
	}{
		{"gone once", queue.ErrGone, 1, 0, nil, 2},
		{"moved once", queue.ErrMoved, 1, 0, nil, 2},
		{"as often as may be", queue.ErrGone, mostRestarts, 0, nil, mostRestarts + 1},
		{"too often", queue.ErrGone, mostRestarts + 1, 0, queue.ErrGone, mostRestarts + 1},
		{"moved too often", queue.ErrMoved, mostRestarts + 1, 0, queue.ErrMoved, mostRestarts + 1},
		{"often, but over a long time", queue.ErrGone, 5 * mostRestarts, restartSpan / mostRestarts, nil, 5*mostRestarts + 1},
		{"a little too often for that", queue.ErrGone, 5 * mostRestarts, restartSpan/mostRestarts - 1, queue.ErrGone, mostRestarts + 1},
		{"another error", errServer, 1, 0, errServer, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s *scene
				s = newScene(t, func(n int) *fakeDir { return (&fakeDir{}).on("enter", taken(&s, tt.tickets, tt.after, tt.why)) })
				p := New(&s.cfg)
				require.NoError(t, p.Join(t.Context()))
				err := p.Wait(t.Context())
				require.ErrorIs(t, err, tt.want)
				require.Len(t, s.dirs, tt.taken)
				for i, d := range s.dirs {
					require.Equal(t, 1, d.count("create"))
					if i < len(s.dirs)-1 {
						require.Equal(t, 1, d.count("remove"), "what was taken away is left first")
					}
				}
				if tt.want != nil {
					require.False(t, p.Resumable(err))
				} else {
					require.Equal(t, "own"+strconv.Itoa(tt.taken-1), p.Report().First.ID[len(testQueue.Dir)+1:], "the last ticket is what holds")
				}
				var want []turn.Step
				for range tt.taken - 1 {
					want = append(want, turn.Enqueued, turn.Restarted)
				}
				require.Equal(t, append(want, turn.Enqueued), s.steps())
				require.NoError(t, p.Leave())
				require.Equal(t, 1, s.dirs[len(s.dirs)-1].count("remove"))
			})
		})
	}
}

// TestRestartFails: an error on the way to another ticket ends the wait.
func TestRestartFails(t *testing.T) {
	gone := func(int) error { return queue.ErrGone }
	t.Run("the old one stays", func(t *testing.T) {
		s := only(t, (&fakeDir{}).on("enter", gone).on("remove", failures(1, syscall.EROFS)))
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.ErrorIs(t, p.Wait(t.Context()), syscall.EROFS)
		require.NoError(t, p.Leave())
	})
	t.Run("the old one is gone already", func(t *testing.T) {
		s := newScene(t, func(n int) *fakeDir {
			if n > 0 {
				return &fakeDir{}
			}
			return (&fakeDir{}).on("enter", gone).on("remove", gone)
		})
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.NoError(t, p.Wait(t.Context()))
		require.NoError(t, p.Leave(), "it is not lost: it never let anybody in")
	})
	t.Run("no other one", func(t *testing.T) {
		s := newScene(t, func(n int) *fakeDir {
			if n > 0 {
				return (&fakeDir{}).on("create", func(int) error { return syscall.ENOSPC })
			}
			return (&fakeDir{}).on("enter", gone)
		})
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.ErrorIs(t, p.Wait(t.Context()), syscall.ENOSPC)
		require.NoError(t, p.Leave())
	})
}

// TestRestartForgetsTheLoss: the heartbeat may be the first to see that a ticket
// was taken away. The next ticket is not lost by that.
func TestRestartForgetsTheLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := func(int) error { return queue.ErrGone }
		s := newScene(t, func(n int) *fakeDir {
			if n > 0 {
				return &fakeDir{}
			}
			return (&fakeDir{}).on("beat", gone).on("enter", func(int) error {
				time.Sleep(testLease) // its wait
				return queue.ErrGone
			})
		})
		s.cfg.Lease = testLease
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.NoError(t, p.Wait(t.Context()))
		require.Equal(t, []turn.Step{turn.Enqueued, turn.LostTurn, turn.Restarted, turn.Enqueued}, s.steps())
		require.False(t, p.Lost())
		select {
		case <-p.Losing():
			t.Error("the next one is not lost")
		default:
		}
		time.Sleep(10 * testLease)
		require.Equal(t, 1, s.dirs[0].count("beat"))
		synctest.Wait()
		require.Equal(t, 30, s.dirs[1].count("beat"), "it is the new one that is renewed")
		require.NoError(t, p.Leave())
	})
}

// TestLease: it is renewed from Join to Leave. When it cannot be, that is told
// before Leave says so.
func TestLease(t *testing.T) {
	for _, why := range []error{queue.ErrGone, queue.ErrMoved} {
		synctest.Test(t, func(t *testing.T) {
			s := only(t, (&fakeDir{}).on("beat", func(n int) error {
				if n == 3 {
					return why
				}
				return nil
			}))
			s.cfg.Lease = testLease
			p := New(&s.cfg)
			require.NoError(t, p.Join(t.Context()))
			require.NoError(t, p.Wait(t.Context()))
			began := time.Now()
			<-p.Losing()
			require.Equal(t, testLease, time.Since(began), "at the third of three beats")
			require.True(t, p.Lost())
			require.ErrorIs(t, s.events[1].Err, why)
			require.True(t, s.events[1].Inside)
			require.Equal(t, turn.ErrLost, p.Leave())
			time.Sleep(time.Minute)
			synctest.Wait()
			require.Equal(t, 3, s.dirs[0].count("beat"))
		})
	}
	s := only(t, &fakeDir{})
	p := New(&s.cfg)
	require.Nil(t, p.Losing(), "nothing watches for it without a lease")
	require.NoError(t, p.Join(t.Context()))
	require.Nil(t, p.Losing())
	require.NoError(t, p.Leave())
}

// TestLateInside: who was stopped while it waited, for longer than its lease, is
// not let in: others may be about to act on that.
func TestLateInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(n int) *fakeDir {
			d := &fakeDir{}
			if n > 0 {
				return d
			}
			return d.on("beat", func(int) error { return syscall.EIO }).
				on("enter", func(int) error { time.Sleep(2 * testLease); return nil })
		})
		s.cfg.Lease = testLease
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.NoError(t, p.Wait(t.Context()))
		require.False(t, p.Lost())
		require.Len(t, s.dirs, 2)
		require.Equal(t, 1, s.dirs[0].count("remove"))
		require.NoError(t, p.Leave())
	})
}

// TestLosingAtAnyTime: Lost, Losing and Report may be called beside the others.
func TestLosingAtAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *scene
		s = newScene(t, func(int) *fakeDir {
			return (&fakeDir{}).on("enter", taken(&s, 3, time.Millisecond, queue.ErrGone))
		})
		s.cfg.Lease = testLease
		p := New(&s.cfg)
		done := make(chan struct{})
		var beside sync.WaitGroup
		beside.Go(func() {
			for {
				p.Losing()
				p.Lost()
				p.Report()
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond / 3):
				}
			}
		})
		require.NoError(t, p.Join(t.Context()))
		require.NoError(t, p.Wait(t.Context()))
		require.NoError(t, p.Leave())
		close(done)
		beside.Wait()
	})
}

// ahead is a directory with one ticket in front of ours, until it is gone.
func ahead(name string, number queue.Number) (d *fakeDir, leave func()) {
	d = &fakeDir{others: []queue.Ticket{{Name: name, Number: number}}}
	var mu sync.Mutex
	left := false
	d.on("stat", func(int) error {
		mu.Lock()
		defer mu.Unlock()
		if left {
			return fs.ErrNotExist
		}
		return nil
	})
	return d, func() {
		mu.Lock()
		defer mu.Unlock()
		left = true
	}
}

// settle lets what the kernel's watches keep open for a while be closed within
// the bubble.
func settle() { time.Sleep(time.Minute) }

// TestTryIsBusy as soon as it is certain that another one is ahead: at once, but
// for who came at the same moment and may yet rise.
func TestTryIsBusy(t *testing.T) {
	n := &names{self: identity(t)}
	tests := []struct {
		name    string
		number  queue.Number
		atLeast time.Duration
		atMost  time.Duration
	}{
		{"long there", queue.Number{Sec: ownNumber.Sec - 2}, 0, 0},
		{"came with us", queue.Number{Sec: ownNumber.Sec - 1, Nsec: 1}, liveness.Grace, liveness.Grace + 100*time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, _ := ahead(n.foreign(), tt.number)
				s := only(t, d)
				p := New(&s.cfg)
				require.NoError(t, p.Join(t.Context()))
				began := time.Now()
				err := p.Try(t.Context())
				took := time.Since(began)
				require.Equal(t, turn.ErrBusy, err)
				require.GreaterOrEqual(t, took, tt.atLeast)
				require.LessOrEqual(t, took, tt.atMost)
				require.True(t, p.Resumable(err), "its place stays")
				require.NoError(t, p.Leave())
			})
		})
	}
}

// TestTryDoesItsWork: what a try itself has to do is no reason to call the lock
// busy, however long that takes.
func TestTryDoesItsWork(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDir{others: []queue.Ticket{{Name: n.foreign(), Number: queue.Number{Sec: 1}}, {Name: n.foreign(), Number: queue.Number{Sec: 2}}}}
		d.on("stat", func(int) error {
			time.Sleep(tryPatience)
			return fs.ErrNotExist
		})
		s := only(t, d)
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		began := time.Now()
		require.NoError(t, p.Try(t.Context()))
		require.Equal(t, 2*tryPatience, time.Since(began))
		require.NoError(t, p.Leave())
	})
}

// TestWaitIsEnded: a wait ends at its moment and keeps its place, where the next
// one goes on; also after a try, which must not make it one.
func TestWaitIsEnded(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		d, leave := ahead(n.foreign(), queue.Number{Sec: 1})
		s := only(t, d)
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.Equal(t, turn.ErrBusy, p.Try(t.Context()))

		ctx, cancel := context.WithTimeout(t.Context(), 333*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := p.Wait(ctx)
		require.Equal(t, 333*time.Millisecond, time.Since(began))
		require.Equal(t, context.DeadlineExceeded, err)
		require.True(t, p.Resumable(err))
		require.Contains(t, s.steps(), turn.Waits)

		report := p.Report()
		require.Equal(t, 1, report.Ahead)
		require.True(t, report.Known)
		require.Equal(t, "it is of another host or another pid namespace, and locks tell nothing here", report.First.Reason)

		time.AfterFunc(time.Second, leave)
		began = time.Now()
		require.NoError(t, p.Wait(t.Context()))
		require.GreaterOrEqual(t, time.Since(began), time.Second)
		require.LessOrEqual(t, time.Since(began), time.Second+s.cfg.Poll, "a poll")
		require.Equal(t, turn.Inside, p.Report().First.State)
		require.NoError(t, p.Leave())
		require.Equal(t, 1, d.count("create"), "with one ticket all the time")
		settle()
	})
}

// TestUnseenEndsTheWait: looks that fail for long end the wait with that error;
// but never those that are not for us to make.
func TestUnseenEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Passage{way: new(way)}
		look := func(name string, err error) error {
			p.again = false
			_, standing, err := p.unseen(queue.Ticket{Name: name}, err)
			require.Equal(t, queue.Final, standing, "in doubt it blocks")
			require.Equal(t, err == nil, p.again, "and is looked at again")
			return err
		}
		require.NoError(t, look("a", syscall.EMFILE))
		time.Sleep(failurePatience)
		require.NoError(t, look("a", syscall.EIO))
		time.Sleep(time.Nanosecond)
		require.Equal(t, syscall.EIO, look("a", syscall.EIO))
		require.NoError(t, look("a", fs.ErrPermission))
		require.NoError(t, look("b", syscall.EIO), "another ticket has its own time")
		time.Sleep(failurePatience + 1)
		require.Equal(t, syscall.EIO, look("b", syscall.EIO))
	})
}

// TestStartClocks: the proofs that take time begin for all at once, whatever the
// look at one of them says, and no ticket stays open for it.
func TestStartClocks(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		first, broken, last := n.foreign(), n.foreign(), n.foreign()
		s := only(t, &fakeDir{oneKernel: true, others: []queue.Ticket{{Name: first}, {Name: broken}, {Name: last}}})
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, p.Wait(ctx), context.Canceled)
		require.Len(t, p.contender.AllAhead(), 3)

		tickets := map[string]*fakeTicket{
			first:  {probe: locked(free, held)},
			broken: {lookErr: syscall.EIO},
			last:   {probe: locked(free, free)},
		}
		x := examine(true, tickets)
		name, _ := ticket.Parse(prefix, first)
		head := func() liveness.Evidence {
			return x.memory.note(first, name, &tickets[first].probe, true)
		}
		head()
		time.Sleep(time.Second)
		p.startClocks(x)
		for _, is := range tickets {
			require.Equal(t, []string{"open", "look"}, is.told())
			require.Zero(t, is.opened(), "it is closed again")
		}
		require.Equal(t, time.Second, head().HeadFor, "the lowest of all stays at the head")
		require.Equal(t, time.Second, x.memory.age(first))
		time.Sleep(time.Second)
		require.Equal(t, time.Second, x.memory.age(last))

		p.startClocks(x)
		require.Empty(t, tickets[last].told(), "once is enough")
		require.NoError(t, p.Leave())
	})
}

// TestStartClocksBesideOpen: where several are inside, a look at one that is kept open
// starts the clocks of the others, and leaves it open.
func TestStartClocksBesideOpen(t *testing.T) {
	n := &names{self: identity(t)}
	left, inside := n.foreign(), n.foreign()
	s := only(t, &fakeDir{oneKernel: true, others: []queue.Ticket{{Name: left}, {Name: inside}}})
	p := New(&s.cfg)
	require.NoError(t, p.Join(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Wait(ctx), context.Canceled)
	tickets := map[string]*fakeTicket{left: {probe: locked(free, free)}, inside: {probe: locked(held, held)}}
	x := examine(true, tickets)
	open, err := x.view.OpenOther(left)
	require.NoError(t, err)
	p.kept.put(&p.kept.inside, open) // it was there a moment ago
	p.startClocks(x)
	require.Equal(t, 1, tickets[left].opened(), "the caller is looking at it")
	require.Zero(t, tickets[inside].opened())
	p.kept.close()
	require.NoError(t, p.Leave())
}
