package passage

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/turn"
)

// directory is what an examiner needs of the directory: ticketdir.View has it,
// and ticketdir.Own.
type directory interface {
	sights
	OpenOther(name string) (*ticketdir.Other, error)
	Reclaim(o *ticketdir.Other) error
	ReclaimAtRest(o *ticketdir.Other) error
}

// sights are what directory and view have in common.
type sights interface {
	OneKernel() bool
	Tells(owner liveness.Place) bool
	Stat(name string) (ticketdir.Probe, error)
	RemoveDead(name string) error
}

// view is a directory whose open tickets need not be files, for tests.
type view interface {
	sights
	OpenOther(name string) (other, error)
	Reclaim(o other) error
	ReclaimAtRest(o other) error
}

// other is another's ticket, kept open, as ticketdir.Other is.
type other interface {
	Name() string
	Look() (ticketdir.Probe, error)
	Entered() (bool, error)
	Label() string
	Close()
}

// files makes a view of a directory.
type files struct{ directory }

func (f files) OpenOther(name string) (other, error) {
	o, err := f.directory.OpenOther(name)
	if err != nil {
		return nil, err // a nil *Other would be an other that is not nil
	}
	return o, nil
}

func (f files) Reclaim(o other) error { return f.directory.Reclaim(o.(*ticketdir.Other)) }

func (f files) ReclaimAtRest(o other) error {
	return f.directory.ReclaimAtRest(o.(*ticketdir.Other))
}

// examiner looks at others' tickets and says what they mean. One serves the
// waiters, Inspect and Reap.
type examiner struct {
	view   view
	queue  *ticketdir.Queue
	memory *Memory
	// thorough asks for what is for display only.
	thorough  bool
	mayArrive time.Duration // see Site
	// beside is the number of the passage that looks: who arrived at about the
	// same time is most likely in its doorway, as this one just was. nil: nobody.
	beside *queue.Number
	// below is what those are below whose turn it is, and what has got in line again
	// meanwhile is not: the own ticket of the passage that looks, or the lowest that
	// has to wait. nil: nothing is known.
	below *queue.Ticket
	// apart opens another view, to be ended.
	apart func() (view, func(), error)
}

// exam is what one look at a ticket found.
type exam struct {
	ticket  queue.Ticket // as it is now
	name    ticket.Name
	verdict liveness.Verdict
	gone    bool
	// nameless: it was removed from outside, and the owner lives nevertheless:
	// who leaves gives up its locks first. If it is inside, that counts. If it
	// waits, then perhaps somebody is just sweeping the queue, of which the holder
	// may have been the first and we shall be the last: for the grace it still
	// stands in the way. By then our own ticket is gone, too.
	nameless bool
	tells    bool         // its locks are seen here
	guarded  bool         // its entry lock was looked at, and tells who is inside
	marked   bool         // it rests, or did, or was left to heirs
	touched  queue.Number // when its times last changed
	arrived  bool         // just now, so that nothing more was looked at
	doorway  bool         // the owner may still be in its doorway
	other    other
	label    string // of its owner, if the look was thorough
}

// close closes the ticket if the look has opened it.
func (e *exam) close() {
	if e.other != nil {
		e.other.Close()
	}
}

// errUnseen is of a ticket without a name whose owner was inside.
var errUnseen = errors.New("its locks cannot be seen at present, and its owner was inside")

// look examines a ticket; head is whether it is its turn: see standing. open is the
// ticket if it is open already. The caller owes a close of what is in the
// result's other, unless that is open itself.
func (x *examiner) look(t queue.Ticket, open other, head bool) (exam, error) {
	e := exam{ticket: t}
	e.name, _ = ticket.Parse(x.queue.Prefix, t.Name)
	self, err := liveness.Self()
	if err != nil {
		return e, err
	}
	if !x.view.OneKernel() {
		return x.lookFar(e, self)
	}
	if open == nil {
		open, err = x.view.OpenOther(t.Name)
	}
	readable := !errors.Is(err, fs.ErrPermission)
	var probe ticketdir.Probe
	switch {
	case err == nil:
		e.other = open
		probe, err = open.Look()
	case !readable:
		probe, err = x.view.Stat(t.Name)
	}
	if err != nil {
		return x.failed(e, err)
	}
	switch {
	case !probe.Nameless || probe.Entry == liveness.Held || probe.Witness == liveness.Held:
	case probe.Entry == liveness.Unseen && x.memory.entered(t.Name):
		return x.failed(e, errUnseen) // it may be so still
	default:
		return x.failed(e, fs.ErrNotExist)
	}
	if x.thorough && open != nil {
		e.label = open.Label()
	}
	e.nameless = probe.Nameless
	e.ticket.Number = t.Number.Max(probe.Number)
	head = head && (x.below == nil || e.ticket.Before(*x.below))
	known := x.memory.knows(t.Name)
	e.marked, e.touched = probe.Marked, probe.Beat.Changed
	evidence := x.memory.note(t.Name, e.name, &probe, head || e.nameless)
	if e.nameless && probe.Entry != liveness.Held && (evidence.HeadFor >= liveness.Grace || x.memory.robbed(t.Name)) {
		return x.failed(e, fs.ErrNotExist)
	}
	e.tells = x.view.Tells(e.name.Place)
	e.guarded = e.tells && probe.Entry != liveness.Unseen
	evidence.Tells, evidence.Readable, evidence.Thorough, evidence.Marked = e.tells, readable, x.thorough, probe.Marked
	e.doorway = e.tells && probe.Entry == liveness.Free && probe.Witness == liveness.Free && !e.name.Plain
	if e.doorway && !probe.Marked && !known && x.beside != nil && within(*x.beside, t.Number, liveness.Grace) {
		// To ask for its process would take longer than it takes to get in line.
		e.arrived = true
		e.verdict = liveness.Verdict{Reason: "it has just arrived"}
		x.memory.decide(t.Name, e.verdict)
		return e, nil
	}
	x.decide(&e, self, evidence)
	return e, nil
}

// within reports whether n is not above from by more than d.
func within(n, from queue.Number, d time.Duration) bool {
	limit, ok := from.Add(d)
	return ok && n.Compare(limit) <= 0
}

// lookFar examines a ticket where other kernels take part. A lock call there is
// a message to a server and may never come back, so that it is made only where
// the answer decides: when the process is ours to ask for, and gone.
func (x *examiner) lookFar(e exam, self liveness.Identity) (exam, error) {
	probe, err := x.view.Stat(e.ticket.Name)
	if err != nil {
		return x.failed(e, err)
	}
	e.ticket.Number = e.ticket.Number.Max(probe.Number)
	evidence := x.memory.note(e.ticket.Name, e.name, &probe, false)
	evidence.Readable = true
	if v := self.Judge(evidence); v.State == liveness.Dead && !v.Expired && e.name.Place != 0 && !e.name.Plain {
		evidence.Witness, evidence.Readable = x.askWitness(e.ticket.Name)
	}
	x.decide(&e, self, evidence)
	// Nobody shows here that its doorway is behind it.
	e.doorway = x.memory.age(e.ticket.Name) < x.mayArrive
	return e, nil
}

// answerPatience is how long a call that decides is waited for. The next look
// asks again.
const answerPatience = 500 * time.Millisecond

// askWitness looks whether somebody has the ticket's witness, an heir perhaps.
// known is false as long as that cannot be told.
func (x *examiner) askWitness(name string) (witness liveness.Lock, known bool) {
	if !x.memory.ask(name) {
		return liveness.Unseen, false
	}
	answer := make(chan liveness.Lock, 1)
	memory, apart := x.memory, x.apart
	go func() {
		witness := lookApart(apart, name)
		memory.answered(name)
		answer <- witness
	}()
	timer := time.NewTimer(answerPatience)
	defer timer.Stop()
	select {
	case witness = <-answer:
		return witness, witness != liveness.Unseen
	case <-timer.C:
		return liveness.Unseen, false
	}
}

// lookApart looks at a ticket's witness through a view of its own, since the
// examiner's may be gone by the time that the server answers.
func lookApart(apart func() (view, func(), error), name string) liveness.Lock {
	v, end, err := apart()
	if err != nil {
		return liveness.Unseen
	}
	defer end()
	open, err := v.OpenOther(name)
	if err != nil {
		return liveness.Unseen
	}
	defer open.Close()
	probe, err := open.Look()
	if err != nil {
		return liveness.Unseen
	}
	return probe.Witness
}

// decide judges, and remembers the verdict.
func (x *examiner) decide(e *exam, self liveness.Identity, evidence liveness.Evidence) {
	e.verdict = self.Judge(evidence)
	if e.nameless {
		e.verdict.Reason += "; its ticket was removed by somebody else"
	}
	x.memory.decide(e.ticket.Name, e.verdict)
}

// failed makes an exam of an error: a ticket that is not there is gone (R9).
func (x *examiner) failed(e exam, err error) (exam, error) {
	if errors.Is(err, fs.ErrNotExist) {
		x.memory.forget(e.ticket.Name)
		e.gone = true
		return e, nil
	}
	x.memory.age(e.ticket.Name) // it is there
	x.memory.decide(e.ticket.Name, liveness.Verdict{Reason: err.Error()})
	return e, err
}

// remove removes a ticket that was found removable, under its entry lock where
// there is one (R13).
func (x *examiner) remove(e *exam) (err error) {
	switch {
	case e.other == nil || e.verdict.Expired:
		err = x.view.RemoveDead(e.ticket.Name)
	case e.marked:
		err = x.view.ReclaimAtRest(e.other)
	default:
		err = x.view.Reclaim(e.other)
	}
	switch {
	case err != nil:
	case e.verdict.State == liveness.Stalled:
		x.memory.rob(e.ticket.Name)
	default:
		x.memory.forget(e.ticket.Name)
	}
	return err
}

// contender describes an examined ticket.
func (x *examiner) contender(e *exam) turn.Contender {
	c := describe(x.queue, e.ticket, e.name, e.verdict)
	c.Label, c.Guarded, c.Marked = e.label, e.guarded, e.marked
	if e.touched != (queue.Number{}) { // else it was not seen
		c.Touched = e.touched.Time()
	}
	return c
}

func describe(q *ticketdir.Queue, t queue.Ticket, name ticket.Name, v liveness.Verdict) turn.Contender {
	self, _ := liveness.Self()
	c := turn.Contender{
		ID: filepath.Join(q.Dir, t.Name), Host: name.Host, PID: name.PID, Queued: t.Number.Time(),
		Shared: name.Shared, Lease: name.Lease, Plain: name.Plain,
		State: state(v.State), Reason: v.Reason, Start: name.Start,
		Reachable: name.PIDSpace.Same(self.PIDSpace),
	}
	c.Self = c.Reachable && name.PID == self.PID && name.Start == self.Start
	return c
}

func state(s liveness.State) turn.State {
	switch s {
	case liveness.Alive:
		return turn.Alive
	case liveness.Inside:
		return turn.Inside
	case liveness.Resting:
		return turn.Resting
	case liveness.Stalled:
		return turn.Stalled
	case liveness.Dead:
		return turn.Dead
	default:
		return turn.Unknown
	}
}
