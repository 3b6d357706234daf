package passage

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

const (
	prefix    = "target.lock."
	testLease = 3 * time.Second
	// noPID is more than any system gives out.
	noPID = 1<<22 + 1

	unseen, free, held = liveness.Unseen, liveness.Free, liveness.Held
)

// testQueue is nowhere: whatever looks for its files finds none.
var testQueue = ticketdir.Queue{Dir: "/nonexistent/filelock", Prefix: prefix}

// identity returns what this process can say of itself.
func identity(t *testing.T) liveness.Identity {
	t.Helper()
	self, err := liveness.Self()
	require.NoError(t, err)
	if self.PIDSpace == 0 {
		t.Skip("nothing can be told of pids here")
	}
	return self
}

// names makes the names of tickets, each with a nonce of its own.
type names struct {
	self liveness.Identity
	n    int
}

func (n *names) format(name ticket.Name) string {
	n.n++
	name.Nonce = fmt.Sprintf("%032x", n.n)
	return name.Format(prefix)
}

// lives is a ticket of this process.
func (n *names) lives(alter ...func(*ticket.Name)) string {
	name := ticket.Name{Host: n.self.Host, PID: n.self.PID, Start: n.self.Start, PIDSpace: n.self.PIDSpace, Place: 5}
	for _, a := range alter {
		a(&name)
	}
	return n.format(name)
}

// ended is a ticket of a process of this pid space that is no more.
func (n *names) ended(alter ...func(*ticket.Name)) string {
	return n.lives(append([]func(*ticket.Name){func(name *ticket.Name) { name.PID = noPID }}, alter...)...)
}

// foreign is a ticket of another pid space.
func (n *names) foreign(alter ...func(*ticket.Name)) string {
	return n.lives(append([]func(*ticket.Name){func(name *ticket.Name) { name.PIDSpace = ticket.HashOf("elsewhere") }}, alter...)...)
}

func withLease(name *ticket.Name) { name.Lease = testLease }
func nowhere(name *ticket.Name)   { name.Place = 0 }

// fakeTicket is another's ticket in memory.
type fakeTicket struct {
	probe                     ticketdir.Probe
	openErr, lookErr, statErr error
	removeErr                 error
	hang                      chan struct{} // what opens it stands still until this is closed
	entered                   []bool        // what Entered says, one by one
	enteredErr                error

	mu    sync.Mutex
	calls []string
	open  int // how many have it open
}

func (f *fakeTicket) called(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

// told returns the calls made so far, and forgets them.
func (f *fakeTicket) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *fakeTicket) opened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// fakeView is a directory in memory.
type fakeView struct {
	oneKernel, tells bool
	tickets          map[string]*fakeTicket
}

func (v *fakeView) OneKernel() bool                 { return v.oneKernel }
func (v *fakeView) Tells(owner liveness.Place) bool { return v.tells && owner != 0 }

func (v *fakeView) find(name, op string) (*fakeTicket, error) {
	f := v.tickets[name]
	if f == nil {
		return nil, pathError(op, fs.ErrNotExist)
	}
	f.called(op)
	return f, nil
}

func (v *fakeView) Stat(name string) (ticketdir.Probe, error) {
	f, err := v.find(name, "stat")
	if err == nil {
		err = pathError("stat", f.statErr)
	}
	if err != nil {
		return ticketdir.Probe{}, err
	}
	// It looks at no lock.
	return ticketdir.Probe{Number: f.probe.Number, Beat: f.probe.Beat}, nil
}

func (v *fakeView) OpenOther(name string) (other, error) {
	f, err := v.find(name, "open")
	if err != nil {
		return nil, err
	}
	if f.hang != nil {
		<-f.hang
	}
	if f.openErr != nil {
		return nil, pathError("open", f.openErr)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open++
	return &fakeOther{f, name}, nil
}

func (v *fakeView) ReclaimAtRest(o other) error {
	f := o.(*fakeOther)
	f.called("reclaim at rest")
	return f.removeErr
}

func (v *fakeView) Reclaim(o other) error {
	f := o.(*fakeOther)
	f.called("reclaim")
	return f.removeErr
}

func (v *fakeView) RemoveDead(name string) error {
	f, err := v.find(name, "remove")
	if err != nil {
		return err
	}
	return f.removeErr
}

// pathError is an error of one call, as the system's come.
func pathError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: "ticket", Err: err}
}

type fakeOther struct {
	*fakeTicket
	name string
}

func (o *fakeOther) Name() string { return o.name }

func (o *fakeOther) Look() (ticketdir.Probe, error) {
	o.called("look")
	if o.lookErr != nil {
		return ticketdir.Probe{}, pathError("look", o.lookErr)
	}
	return o.probe, nil
}

func (o *fakeOther) Label() string { return "" }

func (o *fakeOther) Entered() (bool, error) {
	o.called("entered")
	if len(o.entered) == 0 {
		return false, o.enteredErr
	}
	is := o.entered[0]
	o.entered = o.entered[1:]
	return is, nil
}

func (o *fakeOther) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open--
}

// fakeDir is the directory as the owner of one ticket sees it. Each call counts,
// and does what its hook says.
type fakeDir struct {
	name      string
	oneKernel bool
	swept     bool // the own ticket is gone
	shared    bool // others have the witness
	heirs     bool // and still have it when the ticket is bequeathed
	tidied    bool // others remove it after them
	others    []queue.Ticket

	mu    sync.Mutex
	hooks map[string]func(n int) error // n counts the calls, from 1
	calls map[string]int
}

func (d *fakeDir) on(call string, hook func(n int) error) *fakeDir {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hooks == nil {
		d.hooks = map[string]func(int) error{}
	}
	d.hooks[call] = hook
	return d
}

func (d *fakeDir) called(call string) error {
	d.mu.Lock()
	if d.calls == nil {
		d.calls = map[string]int{}
	}
	d.calls[call]++
	n, hook := d.calls[call], d.hooks[call]
	d.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(n)
}

// count returns how often a call was made.
func (d *fakeDir) count(call string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[call]
}

// ownNumber is the number of every own ticket.
var ownNumber = queue.Number{Sec: 100}

func (d *fakeDir) Create() (string, error) { return d.name, d.called("create") }

func (d *fakeDir) List() ([]queue.Ticket, error) {
	return append(slices.Clone(d.others), queue.Ticket{Name: d.name, Number: ownNumber}), d.called("list")
}

func (d *fakeDir) Renumber(n queue.Number) (queue.Number, error) { return n, d.called("renumber") }
func (d *fakeDir) Announce(queue.Number) error                   { return d.called("announce") }
func (d *fakeDir) Settle(bool) error                             { return d.called("settle") }
func (d *fakeDir) Enter() (queue.Number, error)                  { return ownNumber, d.called("enter") }
func (d *fakeDir) Reenter() (queue.Number, error)                { return ownNumber, d.called("enter") }
func (d *fakeDir) Remove() error                                 { return d.called("remove") }
func (d *fakeDir) Beat() error                                   { return d.called("beat") }
func (d *fakeDir) Quit() error                                   { return d.called("quit") }
func (d *fakeDir) Name() string                                  { return d.name }
func (d *fakeDir) Entries() bool                                 { return false }
func (d *fakeDir) OneKernel() bool                               { return d.oneKernel }
func (d *fakeDir) Tells(liveness.Place) bool                     { return false }
func (d *fakeDir) ReclaimAtRest(*ticketdir.Other) error          { return d.called("reclaim") }
func (d *fakeDir) Reclaim(*ticketdir.Other) error                { return d.called("reclaim") }
func (d *fakeDir) RemoveDead(string) error                       { return d.called("removedead") }
func (d *fakeDir) Rest() error                                   { return d.called("rest") }
func (d *fakeDir) Restamp(n queue.Number, rests bool) (queue.Number, error) {
	if rests {
		return n, d.called("pass on")
	}
	return n, d.called("requeue")
}
func (d *fakeDir) Times() (queue.Times, error) { return queue.Times{}, d.called("times") }
func (d *fakeDir) Settled(queue.Times) bool    { return true }
func (d *fakeDir) MayRest() bool               { return d.oneKernel }
func (d *fakeDir) Witness() (*os.File, error)  { return nil, d.called("witness") }
func (d *fakeDir) Shared() bool                { return d.shared }
func (d *fakeDir) Bequeath() (bool, error)     { return d.heirs, d.called("bequeath") }
func (d *fakeDir) Tidied() bool                { return d.tidied }

func (d *fakeDir) Remaining(ts []queue.Ticket) ([]queue.Ticket, error) {
	return ts, d.called("remaining")
}

func (d *fakeDir) Stat(name string) (ticketdir.Probe, error) {
	if d.swept && name == d.name {
		return ticketdir.Probe{}, pathError("stat", fs.ErrNotExist)
	}
	return ticketdir.Probe{Number: queue.Number{Sec: 1}}, d.called("stat")
}

func (d *fakeDir) OpenOther(string) (*ticketdir.Other, error) {
	return nil, pathError("open", fs.ErrPermission)
}

func (d *fakeDir) Again(ticketdir.Queue) *ticketdir.Own {
	panic("tests make the next one through Open")
}

// scene is what a passage through fake directories goes through.
type scene struct {
	cfg  Config
	dirs []*fakeDir // one for each ticket taken so far

	mu     sync.Mutex
	events []turn.Event
}

// newScene has passages open the directories that next makes: the n-th, from 0.
func newScene(t *testing.T, next func(n int) *fakeDir) *scene {
	t.Helper()
	s := &scene{}
	s.cfg = Config{Queue: testQueue, Poll: 100 * time.Millisecond, Site: &Site{}, Observe: s.observe}
	was := Open
	t.Cleanup(func() { Open = was })
	Open = func(*ticketdir.Queue, TicketDir) TicketDir {
		d := next(len(s.dirs))
		d.name = "own" + strconv.Itoa(len(s.dirs))
		s.dirs = append(s.dirs, d)
		return d
	}
	return s
}

// only is newScene with one directory.
func only(t *testing.T, d *fakeDir) *scene {
	t.Helper()
	return newScene(t, func(n int) *fakeDir {
		require.Zero(t, n, "one ticket was to be enough")
		return d
	})
}

func (s *scene) observe(e turn.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// steps returns what happened so far.
func (s *scene) steps() (steps []turn.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		steps = append(steps, e.Step)
	}
	return steps
}
