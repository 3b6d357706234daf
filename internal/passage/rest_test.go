package passage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/turn"
)

const testLinger = 100 * time.Millisecond

// restScene is a scene on a filesystem where tickets rest, with one directory for
// each ticket.
func restScene(t *testing.T, alter ...func(n int, d *fakeDir)) *scene {
	s := newScene(t, func(n int) *fakeDir {
		d := &fakeDir{oneKernel: true}
		for _, a := range alter {
			a(n, d)
		}
		return d
	})
	s.cfg.Linger = testLinger
	s.cfg.Site.prompt.Store(true)
	return s
}

// use goes through the queue and leaves.
func (s *scene) use(t *testing.T) {
	t.Helper()
	p := New(&s.cfg)
	require.NoError(t, p.Join(t.Context()))
	require.NoError(t, p.Wait(t.Context()))
	require.NoError(t, p.Leave())
}

func requireNoneAtRest(t *testing.T) {
	t.Helper()
	resting.mu.Lock()
	defer resting.mu.Unlock()
	require.Empty(t, resting.sites)
}

// counts are how often a call was made of each directory.
func (s *scene) counts(call string) (n []int) {
	for _, d := range s.dirs {
		n = append(n, d.count(call))
	}
	return n
}

// TestRest: from the second use within the linger time on, one ticket is used
// again, until that time has passed without use.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := restScene(t)
		s.use(t)
		time.Sleep(testLinger)
		for range 5 {
			s.use(t)
			time.Sleep(testLinger/2 - 1)
		}
		require.Equal(t, []int{1, 1}, s.counts("create"))
		require.Equal(t, []int{0, 5}, s.counts("rest"))
		require.Equal(t, []int{1, 0}, s.counts("remove"))
		time.Sleep(testLinger)
		synctest.Wait()
		require.Equal(t, []int{1, 1}, s.counts("remove"))

		time.Sleep(testLinger)
		s.use(t)
		require.Equal(t, []int{0, 5, 0}, s.counts("rest"), "it comes first again")
		time.Sleep(time.Hour)
		requireNoneAtRest(t)
	})
}

// TestPassesOn: where others are in line, a ticket rests at the tail, and gets in
// line again from there.
func TestPassesOn(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		other := queue.Ticket{Name: n.foreign(), Number: queue.Number{Sec: 1}}
		s := restScene(t, func(_ int, d *fakeDir) {
			d.others = []queue.Ticket{other}
			d.on("stat", func(int) error { return fs.ErrNotExist })
		})
		for range 5 {
			s.use(t)
		}
		require.Equal(t, []int{1, 1}, s.counts("create"))
		require.Equal(t, []int{1, 0}, s.counts("remove"))
		require.Equal(t, []int{0, 4}, s.counts("pass on"))
		require.Equal(t, []int{0, 3}, s.counts("requeue"))
		require.Equal(t, []int{0, 0}, s.counts("rest"), "nobody is marked for being alone")
		require.Equal(t, []int{1, 4}, s.counts("settle"), "each time through the doorway")
		time.Sleep(testLinger)
		synctest.Wait()
		require.Equal(t, []int{1, 1}, s.counts("remove"))
	})
}

// TestRequeue: a turn is exchanged for the place at the tail in one call, and the
// passage goes on as if it had joined just then.
func TestRequeue(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		s := restScene(t, func(_ int, d *fakeDir) {
			d.others = []queue.Ticket{{Name: n.foreign(), Number: queue.Number{Sec: 1}}}
			d.on("stat", func(int) error { return fs.ErrNotExist })
		})
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.NoError(t, p.Wait(t.Context()))
		require.False(t, p.Requeue(), "the first one leaves nothing")
		require.Equal(t, turn.Inside, p.Report().First.State)
		require.NoError(t, p.Leave())

		p = New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		for range 3 {
			require.NoError(t, p.Wait(t.Context()))
			require.True(t, p.Requeue())
			_, err := p.Witness()
			require.ErrorIs(t, err, os.ErrClosed)
			require.Equal(t, turn.Alive, p.Report().First.State)
		}
		require.Equal(t, []int{0, 3}, s.counts("requeue"))
		require.Equal(t, []int{1, 3}, s.counts("settle"))
		require.NoError(t, p.Leave(), "without a turn")
		require.Equal(t, []int{1, 1}, s.counts("remove"))
		require.Equal(t, []turn.Step{turn.Released, turn.Enqueued, turn.Left}, s.steps()[len(s.steps())-3:])
	})
}

// TestPassesOnInVain: a ticket that cannot rest at the tail is removed, and the
// holder learns whether it was there until then.
func TestPassesOnInVain(t *testing.T) {
	n := &names{self: identity(t)}
	for name, tt := range map[string]struct {
		passOn, remove, want error
	}{
		"not here":            {errors.ErrUnsupported, nil, nil},
		"gone":                {queue.ErrGone, queue.ErrGone, turn.ErrLost},
		"neither nor removed": {syscall.EIO, syscall.EROFS, syscall.EROFS},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := restScene(t, func(i int, d *fakeDir) {
					d.others = []queue.Ticket{{Name: n.foreign(), Number: queue.Number{Sec: 1}}}
					d.on("stat", func(int) error { return fs.ErrNotExist })
					if i == 1 {
						d.on("pass on", nth(1, tt.passOn)).on("remove", nth(1, tt.remove))
					}
				})
				s.use(t)
				p := New(&s.cfg)
				require.NoError(t, p.Join(t.Context()))
				require.NoError(t, p.Wait(t.Context()))
				require.ErrorIs(t, p.Leave(), tt.want)
				time.Sleep(time.Second)
			})
		})
	}
}

// TestNoRest where a ticket must not, or need not, be kept.
func TestNoRest(t *testing.T) {
	for name, alter := range map[string]func(*Config){
		"no linger time": func(c *Config) { c.Linger = 0 },
		"a lease":        func(c *Config) { c.Lease = time.Hour },
		"plain peers":    func(c *Config) { c.PlainPeers = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := restScene(t)
				alter(&s.cfg)
				for range 3 {
					s.use(t)
				}
				require.Equal(t, []int{0, 0, 0}, s.counts("rest"))
				require.Equal(t, []int{1, 1, 1}, s.counts("remove"))
			})
		})
	}
	t.Run("many kernels", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := restScene(t, func(_ int, d *fakeDir) { d.oneKernel = false })
			for range 3 {
				s.use(t)
			}
			require.Equal(t, []int{0, 0, 0}, s.counts("rest"))
		})
	})
	t.Run("too many rest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := restScene(t)
			var others []*Site
			for range maxResting {
				others = append(others, &Site{})
				resting.add(others[len(others)-1])
			}
			s.use(t)
			s.use(t)
			require.Equal(t, []int{0, 0}, s.counts("rest"))
			for _, o := range others {
				resting.remove(o)
			}
			s.use(t)
			require.Equal(t, []int{0, 0, 1}, s.counts("rest"))
			require.NoError(t, s.cfg.Site.GiveUp())
		})
	})
}

// TestRestOfAnotherMode: a ticket of another permission is no use, and is given up
// by whoever comes to rest after it.
func TestRestOfAnotherMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := restScene(t)
		s.use(t)
		s.use(t)
		s.cfg.Queue.Mode = 0o600
		s.use(t)
		require.Equal(t, []int{1, 1, 1}, s.counts("create"))
		require.Equal(t, []int{1, 1, 0}, s.counts("remove"))
		require.NoError(t, s.cfg.Site.GiveUp())
		require.Equal(t, []int{1, 1, 1}, s.counts("remove"))
	})
}

// TestComesBackInVain: whoever cannot come back to its ticket removes it and takes
// another one, and its place at the tail.
func TestComesBackInVain(t *testing.T) {
	for name, alter := range map[string]func(d *fakeDir){
		"it is gone": func(d *fakeDir) {
			d.on("enter", nth(2, queue.ErrGone)).on("remove", nth(1, queue.ErrGone))
		},
		"it cannot be looked at": func(d *fakeDir) { d.on("enter", nth(2, syscall.EIO)) },
		"the directory's times cannot be read": func(d *fakeDir) {
			d.on("times", nth(4, syscall.EIO)).on("list", nth(2, syscall.EIO))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := restScene(t, func(n int, d *fakeDir) {
					if n == 1 {
						alter(d)
					}
				})
				s.use(t)
				s.use(t)
				require.Equal(t, []int{0, 1}, s.counts("rest"))
				time.Sleep(testLinger/2 + 1) // until it is in doubt
				s.use(t)
				require.Len(t, s.dirs, 3)
				require.Equal(t, []int{1, 1, 1}, s.counts("remove"), "the next one does without")
				require.False(t, slices.Contains(s.steps(), turn.Restarted), "it waited for nothing")
				require.NoError(t, s.cfg.Site.GiveUp())
			})
		})
	}
}

// TestRestsInVain: where others remove what rests each time, it is tried less and
// less, until it is of use again.
func TestRestsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := true
		s := restScene(t, func(_ int, d *fakeDir) {
			d.on("enter", func(n int) error {
				if gone && n > 1 {
					return queue.ErrGone
				}
				return nil
			})
		})
		var rests []int
		for i := range 40 {
			s.use(t)
			if slices.Max(s.counts("rest")) > 0 && s.dirs[len(s.dirs)-1].count("rest") == 1 {
				rests = append(rests, i)
			}
		}
		require.Equal(t, []int{1, 3, 7, 15, 31}, rests)
		gone = false
		for range 40 {
			s.use(t)
		}
		gone = true
		s.use(t)
		require.Zero(t, s.dirs[len(s.dirs)-1].count("rest"), "one does without")
		s.use(t)
		require.Equal(t, 1, s.dirs[len(s.dirs)-1].count("rest"), "and the next one rests")
		require.NoError(t, s.cfg.Site.GiveUp())
	})
}

// TestComesBackAsItself: a place is looked after by whoever came back to it, and
// not by the one who left it.
func TestComesBackAsItself(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		s := restScene(t, func(i int, d *fakeDir) {
			if i == 1 {
				d.on("enter", nth(2, queue.ErrGone))
			}
			if i == 2 {
				d.others = []queue.Ticket{{Name: n.lives(), Number: queue.Number{Sec: 1}}}
			}
		})
		s.use(t)
		s.use(t)
		before := len(s.steps())
		var told []turn.Step
		cfg := s.cfg
		cfg.Observe = func(e turn.Event) { told = append(told, e.Step) }
		p := New(&cfg)
		require.NoError(t, p.Join(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Wait(ctx), context.DeadlineExceeded)
		require.Contains(t, told, turn.Waits)
		require.Len(t, s.steps(), before)
		require.NoError(t, p.Leave())
		settle()
	})
}

// TestComesBackTooLate: who was let in at once, but too late for the one who waited, has
// kept its place for the next one.
func TestComesBackTooLate(t *testing.T) {
	s := restScene(t)
	s.use(t)
	s.use(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for late := false; !late; {
		s.cfg.Site.prompt.Store(true)
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.True(t, p.resumed)
		s.cfg.Site.prompt.Store(false) // as another passage may find
		err := p.Wait(ctx)
		if late = err != nil; late { // which of the two was first is left to chance
			require.ErrorIs(t, err, context.Canceled)
			require.True(t, p.Resumable(err))
			require.NoError(t, p.Wait(t.Context()))
		}
		s.cfg.Site.prompt.Store(true)
		require.NoError(t, p.Leave())
	}
	require.NoError(t, s.cfg.Site.GiveUp())
}

// nth fails the n-th call.
func nth(n int, err error) func(int) error {
	return func(call int) error {
		if call == n {
			return err
		}
		return nil
	}
}

// TestDoubt: the directory's times are not trusted for longer than half of the
// linger time.
func TestDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := restScene(t)
		s.use(t)
		s.use(t)
		began := s.dirs[1].count("list")
		s.use(t)
		require.Equal(t, began, s.dirs[1].count("list"), "the times tell")
		time.Sleep(testLinger/2 + 1)
		s.use(t)
		require.Equal(t, began+1, s.dirs[1].count("list"))
		s.use(t)
		require.Equal(t, began+1, s.dirs[1].count("list"))
		require.NoError(t, s.cfg.Site.GiveUp())
	})
}

// TestDoubtInProportion: where a listing takes as long as the times are trusted, as in a
// very large directory, it is not made anew for each passage.
func TestDoubtInProportion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow, pause = testLinger/2 + time.Millisecond, 10 * time.Millisecond
		s := restScene(t, func(n int, d *fakeDir) {
			d.on("list", func(int) error { time.Sleep(slow); return nil })
		})
		s.use(t)
		s.use(t)
		listed := s.dirs[1].count("list")
		for began := time.Now(); time.Since(began) < 10*doubtThrift*slow; time.Sleep(pause) {
			s.use(t)
		}
		listed = s.dirs[1].count("list") - listed
		require.LessOrEqual(t, listed, 10+1)
		require.GreaterOrEqual(t, listed, 5, "but now and then it is")
		require.NoError(t, s.cfg.Site.GiveUp())
	})
}

// TestLingers: the shortest linger time that was asked for last counts, and nothing
// is to come after a rest that was given up.
func TestLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := restScene(t)
		s.cfg.Linger = time.Hour
		s.use(t)
		s.use(t)
		s.cfg.Linger = testLinger
		s.use(t)
		time.Sleep(testLinger + 1)
		synctest.Wait()
		require.Equal(t, []int{1, 1}, s.counts("remove"))

		s.cfg.Linger = time.Hour
		s.use(t)
		s.use(t)
		require.NoError(t, s.cfg.Site.GiveUp())
		time.Sleep(time.Hour)
		requireNoneAtRest(t)
	})
}

// TestTriesOfWhoComesBack: who comes back to its ticket is seen to be inside for a
// moment, and a try that sees that fails. One of the two must succeed.
func TestTriesOfWhoComesBack(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		other := n.foreign()
		s := restScene(t)
		s.use(t)
		s.use(t)
		// Another one, far ahead, of which nothing shows that it will go.
		d := s.dirs[1]
		d.others = []queue.Ticket{{Name: other, Number: queue.Number{Sec: 1}}}
		s.cfg.Site.rest.place.contender.Doubt()
		var left atomic.Bool
		d.on("stat", func(int) error {
			if left.Load() {
				return fs.ErrNotExist
			}
			return nil
		})
		time.AfterFunc(100*time.Millisecond, func() { left.Store(true) }) // it gives up
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		require.NoError(t, p.Try(t.Context()))
		require.NoError(t, p.Leave())
		require.Equal(t, 1, d.count("requeue"))
		require.NoError(t, s.cfg.Site.GiveUp())
	})
}

// TestRestIsLeftInTheBackground: a ticket at rest that cannot be removed is tried
// again, and disturbs nobody meanwhile.
func TestRestIsLeftInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := restScene(t, func(_ int, d *fakeDir) {
			d.on("remove", func(n int) error {
				if n < 3 && d.name == "own1" {
					return syscall.EIO
				}
				return nil
			})
		})
		s.use(t)
		s.use(t)
		require.Equal(t, syscall.EIO, s.cfg.Site.GiveUp())
		require.Equal(t, 1, s.dirs[1].count("quit"))
		s.use(t)
		require.Len(t, s.dirs, 3)
		time.Sleep(time.Second)
		require.Equal(t, 3, s.dirs[1].count("remove"))
		require.NoError(t, s.cfg.Site.GiveUp())
	})
}

// TestRobbedBehindAHolder: whoever was robbed of its ticket notices that by its
// patrol; the one ahead may come back to its own again and again.
func TestRobbedBehindAHolder(t *testing.T) {
	n := &names{self: identity(t)}
	synctest.Test(t, func(t *testing.T) {
		holder := n.lives()
		robbed := &fakeDir{oneKernel: true, others: []queue.Ticket{{Name: holder, Number: queue.Number{Sec: 1}}}}
		robbed.swept = true
		s := newScene(t, func(n int) *fakeDir {
			if n == 0 {
				return robbed
			}
			return &fakeDir{oneKernel: true}
		})
		s.cfg.Site.prompt.Store(true)
		p := New(&s.cfg)
		require.NoError(t, p.Join(t.Context()))
		began := time.Now()
		require.NoError(t, p.Wait(t.Context()))
		require.Less(t, time.Since(began), 2*patrolInterval)
		require.Contains(t, s.steps(), turn.Restarted)
		require.NoError(t, p.Leave())
		settle()
	})
}
