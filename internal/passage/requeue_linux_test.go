package passage

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// processes makes passages as several processes would have them, in a real
// directory.
type processes struct {
	t   *testing.T
	dir string
}

func realQueue(t *testing.T) processes {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "passage-test-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if !ticketdir.OneKernel(dir) {
		t.Skip("tickets do not rest here")
	}
	return processes{t, dir}
}

// process returns what one process's passages have in common. It has used the lock
// before, so that its tickets may rest.
func (ps processes) process() *Config {
	cfg := &Config{
		Queue: ticketdir.Queue{Dir: ps.dir, Prefix: ticket.Prefix("target"), Mode: 0o644},
		Poll:  100 * time.Millisecond, Linger: time.Hour, Site: &Site{},
	}
	cfg.Queue.Prepare()
	cfg.Site.Find(ps.dir)
	ps.t.Cleanup(func() { require.NoError(ps.t, cfg.Site.GiveUp()) })
	p := ps.join(cfg)
	require.NoError(ps.t, p.Wait(ps.t.Context()))
	require.NoError(ps.t, p.Leave())
	return cfg
}

func (ps processes) join(cfg *Config) *Passage {
	ps.t.Helper()
	p := New(cfg)
	require.NoError(ps.t, p.Join(ps.t.Context()))
	return p
}

// wait has p wait, until it is behind others for sure.
func (ps processes) wait(p *Passage) <-chan error {
	ps.t.Helper()
	waited := make(chan error, 1)
	ctx := ps.t.Context()
	go func() { waited <- p.Wait(ctx) }()
	require.Eventually(ps.t, func() bool {
		_, ahead, _ := p.contender.Ahead()
		return ahead > 0
	}, 5*time.Second, time.Millisecond)
	return waited
}

// queued returns the verdict that Inspect has on p's ticket, or fails.
func (ps processes) queued(p *Passage) turn.State {
	ps.t.Helper()
	all, err := Inspect(p.cfg)
	require.NoError(ps.t, err)
	for _, c := range all {
		if filepath.Base(c.ID) == p.contender.Own().Name {
			return c.State
		}
	}
	require.Fail(ps.t, "its ticket is gone")
	return 0
}

// toldDir tells of the looks at others' tickets.
type toldDir struct {
	TicketDir
	tell func(look string)
}

func (d *toldDir) OpenOther(name string) (*ticketdir.Other, error) {
	d.tell("open")
	return d.TicketDir.OpenOther(name)
}

func (d *toldDir) Stat(name string) (ticketdir.Probe, error) {
	d.tell("stat")
	return d.TicketDir.Stat(name)
}

// TestGlance: of a ticket that was seen to be alive a moment ago the number is enough, for
// some milliseconds.
func TestGlance(t *testing.T) {
	ps := realQueue(t)
	h, w := ps.process(), ps.process()
	type look struct {
		kind string
		at   time.Time
	}
	var mu sync.Mutex
	var looks []look
	seen := func() []look {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(looks)
	}
	wasOpen := Open
	defer func() { Open, moment = wasOpen, aMoment }()
	moment = time.Hour
	tell := func(kind string) {
		mu.Lock()
		defer mu.Unlock()
		looks = append(looks, look{kind, time.Now()})
	}
	ph := ps.join(h)
	Open = func(q *ticketdir.Queue, after TicketDir) TicketDir { return &toldDir{wasOpen(q, after), tell} }
	require.NoError(t, ph.Wait(t.Context()))
	pw := ps.join(w)
	first := ps.wait(pw)
	require.Eventually(t, func() bool { return len(seen()) > 0 }, 5*time.Second, time.Millisecond)
	require.Equal(t, "open", seen()[0].kind, "nothing was known of it")

	kinds := func() (kinds []string) {
		for _, l := range seen() {
			kinds = append(kinds, l.kind)
		}
		return kinds
	}
	for range 3 {
		require.True(t, ph.Requeue())
		second := ps.wait(ph)
		require.NoError(t, <-first)
		require.True(t, pw.Requeue())
		require.NoError(t, <-second)
		looks = nil // nobody looks now
		first = ps.wait(pw)
		require.Eventually(t, func() bool { return len(seen()) > 2 }, 5*time.Second, time.Millisecond)
	}
	require.Equal(t, []string{"stat", "open", "stat"}, kinds()[:3])
	between := seen()[2].at.Sub(seen()[0].at)
	require.Greater(t, between, patience(1)/2, "it waits meanwhile")
	require.Less(t, between, patrolInterval/2, "and not for long")
	require.NoError(t, ph.Leave())
	require.NoError(t, <-first)
	require.NoError(t, pw.Leave())
}

// TestSweptInGlance: who takes for granted that the holder lives does not come in beside
// it when somebody sweeps the queue.
func TestSweptInGlance(t *testing.T) {
	ps := realQueue(t)
	h, w := ps.process(), ps.process()
	defer func() { moment = aMoment }()
	moment = time.Hour
	ph := ps.join(h)
	require.NoError(t, ph.Wait(t.Context()))
	pw := ps.join(w)
	first := ps.wait(pw)
	require.Eventually(t, func() bool {
		v, _ := w.Site.memory.verdict(ph.contender.Own().Name)
		return v.State == liveness.Inside
	}, 5*time.Second, time.Millisecond)
	require.True(t, ph.Requeue())
	require.NoError(t, <-first)
	second := ps.wait(ph)
	require.True(t, pw.Requeue())
	require.NoError(t, <-second)
	var sweep sync.Once
	pw.OnWait(func() {
		sweep.Do(func() {
			for _, p := range []*Passage{ph, pw} { // there are no others
				assert.NoError(t, os.Remove(filepath.Join(ps.dir, p.contender.Own().Name)))
			}
		})
	})
	in := make(chan error, 1)
	go func() { in <- pw.Wait(context.Background()) }()
	select {
	case err := <-in:
		require.Fail(t, "in beside the holder", "%v", err)
	case <-time.After(10 * sweptPoll):
	}
	require.ErrorIs(t, ph.Leave(), turn.ErrLost)
	require.NoError(t, <-in)
	require.NoError(t, pw.Leave())
}

// TestRisenIsNotTheLowest: who got in line again and waits at the tail is not taken
// for one at the head who does not go in, by those who had it ahead.
func TestRisenIsNotTheLowest(t *testing.T) {
	t.Parallel()
	ps := realQueue(t)
	h, w, x := ps.process(), ps.process(), ps.process()
	ph := ps.join(h)
	require.NoError(t, ph.Wait(t.Context()))
	pw := ps.join(w)
	second := ps.wait(pw)
	px := ps.join(x)
	third := ps.wait(px)
	require.True(t, ph.Requeue())
	again := ps.wait(ph)
	require.NoError(t, <-second)
	name := ph.contender.Own().Name
	// Both have had it ahead of them; the third patrols.
	time.Sleep(liveness.StallGrace + 2*patrolInterval)
	require.Equal(t, turn.Alive, ps.queued(ph))

	// The second looks at it as soon as it has got in line behind it.
	require.True(t, pw.Requeue())
	fourth := ps.wait(pw)
	require.NoError(t, <-third)
	require.NoError(t, px.Leave())
	require.NoError(t, <-again)
	require.Equal(t, name, ph.contender.Own().Name, "it was robbed of its place")
	require.NoError(t, ph.Leave())
	require.NoError(t, <-fourth)
	require.NoError(t, pw.Leave())
}

// TestTryOfWhoComesBack: a try that comes back to its ticket is refused at once if
// somebody is inside, whoever else waits.
func TestTryOfWhoComesBack(t *testing.T) {
	ps := realQueue(t)
	a, b, c := ps.process(), ps.process(), ps.process()
	pa := ps.join(a)
	require.NoError(t, pa.Wait(t.Context()))
	pb := ps.join(b)
	second := ps.wait(pb)
	pc := ps.join(c)
	third := ps.wait(pc)
	require.NoError(t, pa.Leave())
	require.NoError(t, <-second)

	pa = ps.join(a)
	began := time.Now()
	require.ErrorIs(t, pa.Try(t.Context()), turn.ErrBusy)
	require.Less(t, time.Since(began), liveness.Grace)
	require.NoError(t, pa.Leave())
	require.NoError(t, pb.Leave())
	require.NoError(t, <-third)
	require.NoError(t, pc.Leave())
}

// TestRequeueFollowsThePath: who gets in line again does so where newcomers do.
func TestRequeueFollowsThePath(t *testing.T) {
	ps := realQueue(t)
	ps.dir = filepath.Join(ps.dir, "queue")
	require.NoError(t, os.Mkdir(ps.dir, 0o777))
	h := ps.process()
	ph := ps.join(h)
	require.NoError(t, ph.Wait(t.Context()))
	require.NoError(t, os.Rename(ps.dir, ps.dir+".old"))
	require.NoError(t, os.Mkdir(ps.dir, 0o777))
	require.False(t, ph.Requeue())
	require.NoError(t, ph.Leave())
	ph = ps.join(h)
	require.NoError(t, ph.Wait(t.Context()))
	files, err := os.ReadDir(ps.dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, ph.Leave())
}

// TestPassedByAreInOrder: those that rest are looked at last, and the lowest is
// first among them, as reports have it.
func TestPassedByAreInOrder(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	n := &names{self: identity(t)}
	var ahead []queue.Ticket
	for i := range 3 {
		ahead = append(ahead, queue.Ticket{Name: n.lives(), Number: queue.Number{Sec: int64(i + 1)}})
	}
	r := &restingOthers{last: map[string]int{}}
	c := queue.New(&fakeDir{name: "own", oneKernel: true, others: ahead}, r, false)
	r.c = c
	require.NoError(t, c.Join())
	require.NoError(t, c.Wait(ctx))
	require.Equal(t, []string{ahead[2].Name, ahead[1].Name, ahead[0].Name}, r.order[:3], "from the nearest on")
	require.Equal(t, r.order[:3], r.order[3:], "and again")
	require.Equal(t, ahead[0].Name, r.first)
}

// restingOthers are others whose tickets all rest.
type restingOthers struct {
	c     *queue.Contender
	order []string
	last  map[string]int
	first string
}

func (r *restingOthers) Look(t queue.Ticket, last bool) (queue.Ticket, queue.Standing, error) {
	r.order = append(r.order, t.Name)
	if last && len(r.order) > 1 {
		if first, n, _ := r.c.Ahead(); n == 3 {
			r.first = first.Name
		}
		if r.last[t.Name]++; len(r.order) > 3 {
			return t, queue.Gone, nil
		}
	}
	return t, queue.AtRest, nil
}

func (r *restingOthers) Watch(queue.Ticket) queue.Watch { return noWatch{} }

type noWatch struct{}

func (noWatch) Wait(ctx context.Context, _ bool) error { return ctx.Err() }
func (noWatch) Stop()                                  {}
