package passage

import (
	"slices"
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
	})
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
	t.Run("another of this process waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := restScene(t)
			s.use(t)
			holder, next := New(&s.cfg), New(&s.cfg)
			require.NoError(t, holder.Join(t.Context()))
			require.NoError(t, holder.Wait(t.Context()))
			require.NoError(t, next.Join(t.Context()))
			require.NoError(t, holder.Leave())
			require.Equal(t, []int{0, 0, 0}, s.counts("rest"))
			require.NoError(t, next.Wait(t.Context()))
			require.NoError(t, next.Leave())
			require.Equal(t, []int{0, 0, 1}, s.counts("rest"))
			require.NoError(t, s.cfg.Site.GiveUp())
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
		"the path leads elsewhere": func(d *fakeDir) { d.elsewhere = true },
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
				require.Equal(t, []int{1, 1, 0}, s.counts("remove"))
				require.False(t, slices.Contains(s.steps(), turn.Restarted), "it waited for nothing")
				require.NoError(t, s.cfg.Site.GiveUp())
			})
		})
	}
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

// TestDoubt: the times of a directory that lies on others are not trusted for
// longer than half of the linger time.
func TestDoubt(t *testing.T) {
	for _, stacks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := restScene(t, func(_ int, d *fakeDir) { d.stacks = stacks })
			s.use(t)
			s.use(t)
			began := s.dirs[1].count("list")
			s.use(t)
			require.Equal(t, began, s.dirs[1].count("list"), "the times tell")
			time.Sleep(testLinger/2 + 1)
			s.use(t)
			if stacks {
				require.Greater(t, s.dirs[1].count("list"), began)
			} else {
				require.Equal(t, began, s.dirs[1].count("list"))
			}
			require.NoError(t, s.cfg.Site.GiveUp())
		})
	}
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
