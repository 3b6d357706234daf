package filelock

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/internal/bubble"
	"github.com/filelock-go/filelock/internal/waitfor"
)

// deadlocks looks for circles of waits that this process is part of, and tells those
// who wait in them. It keeps nobody from anything, and ends no wait.
//
// A circle is closed by a wait that begins. So a look is due some time after that, and
// again and again as long as somebody in this process waits and holds something
// besides: who holds nothing keeps nobody waiting. No acquisition that waits for less
// than a second pays for it with more than a load of armed. No process that holds nothing
// is woken for it while it waits; when it has its turn then, there is one look a second
// later, since others of its goroutines may wait still.
var deadlocks = &detector{isHeir: sync.OnceValue(waitfor.IsHeir)}

const (
	// firstLook is how long after the beginning of a wait it is looked for circles.
	firstLook = time.Second
	// nextLook is how long after one look the next one is due.
	nextLook = 1500 * time.Millisecond
	// confirmLook is how long after the first look at a circle the second one is, that
	// must show the very same waits and holds: in between, all of them go on.
	confirmLook = 400 * time.Millisecond
	// thrift is how many times as long as a look took the pause after it is at the least.
	thrift = 200
)

// detector looks for circles. There is one in a process.
type detector struct {
	armed atomic.Bool  // a look is due
	looks atomic.Int64 // made; for tests

	turns atomic.Int64 // that this process has
	// idle: a wait began while it had none, and no look is due for that.
	idle atomic.Bool
	// heir: this process has inherited tickets, with which it keeps others waiting
	// though it has no turn itself. That is asked once.
	asked, heir atomic.Bool

	mu        sync.Mutex // for one look at a time
	suspected map[string]bool
	isHeir    func() bool // tickets are inherited at the start of a process
}

// arm has a look made before long, if this process holds anything. It is called whenever
// somebody begins to wait. Not in bubbles of testing/synctest: no timer may be of one.
func (d *detector) arm() {
	if d.armed.Load() {
		return
	}
	if d.turns.Load() > 0 || d.heir.Load() {
		d.schedule(firstLook)
		return
	}
	d.idle.Store(true)
	if d.turns.Load() > 0 { // which may not have seen that
		d.schedule(firstLook)
	} else if !d.asked.Load() && !bubble.Inside() && d.asked.CompareAndSwap(false, true) {
		go d.askHeir() // a process may have very many descriptors
	}
}

// askHeir finds out whether this process is an heir.
func (d *detector) askHeir() {
	if d.isHeir() {
		d.heir.Store(true)
		d.schedule(firstLook)
	}
}

// begins notes that this process has one turn more, with which it may keep those waiting
// for whom others of its goroutines wait.
func (d *detector) begins() {
	d.turns.Add(1)
	if d.idle.Load() && !bubble.Inside() && d.idle.CompareAndSwap(true, false) {
		d.schedule(firstLook)
	}
}

// ends undoes begins.
func (d *detector) ends() { d.turns.Add(-1) }

func (d *detector) schedule(after time.Duration) {
	if !bubble.Inside() && d.armed.CompareAndSwap(false, true) {
		time.AfterFunc(after, d.tick)
	}
}

// tick makes a look, and has the next one made if there may be something to see.
func (d *detector) tick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed.Store(false) // first: whoever begins to wait from now on may not be seen
	began := time.Now()
	defer d.looks.Add(1)
	waits := waitsHere()
	if len(waits) == 0 {
		return
	}
	heir := d.isHeir()
	look, watched := waitfor.NewLook(inProcess(waits), heir), false
	suspected, confirm := map[string]bool{}, false
	for _, w := range waits {
		holds := len(w.Held) > 0 || heir
		watched = watched || holds
		circle, ok := waitfor.Circle{}, false
		if holds {
			circle, ok = look.Circle(w.Wait)
		}
		switch {
		case !ok:
			w.tell("") // if it was part of one, that is no more
		case d.suspected[circle.Key]:
			suspected[circle.Key] = true
			w.tell(circle.Text(targetOf))
		default:
			suspected[circle.Key] = true
			confirm = true
		}
	}
	d.suspected = suspected
	switch {
	case confirm:
		d.schedule(confirmLook)
	case watched:
		d.schedule(max(nextLook, thrift*time.Since(began)))
	}
}
