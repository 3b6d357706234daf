package fence

import (
	"fmt"
	"iter"
)

// bend is a way to use the record that is known to be wrong.
type bend struct {
	faults
	noLastCheck bool // a token counts though the lock was lost since
	before      bool // it is taken before the lock is entered
	atRelease   bool // it is the last one and one more, and written when the lock is released
	trusting    bool // who has just opened the record goes by its limit
}

// world is a lock with leases, a record and its takers, and a schedule that is
// determined by what choose returns.
type world struct {
	bend
	disk   *disk
	alone  bool
	made   bool // the record is there from the beginning
	shared bool // all are readers: they are inside together
	choose func(n int) int
	trace  []string

	actors []*actor
	losses int // of power, that are left
	kills  int
	robs   int

	entries int
	grants  []grantOf
	wrong   string
}

// grantOf is a token that an acquisition has returned.
type grantOf struct {
	entered int // the how-manieth entry it was
	done    int // how many entries there were when it was returned
	token   uint64
}

// actor is one process that takes the lock some times.
type actor struct {
	id      int
	next    func() (string, bool)
	stop    func()
	inside  bool
	done    bool
	blocked bool
}

// killed ends a coroutine.
type killed struct{}

func (w *world) start(id, rounds int) *actor {
	a := &actor{id: id}
	body := func(yield func(string) bool) {
		defer func() {
			if r := recover(); r != nil && r != (killed{}) {
				panic(r)
			}
		}()
		step := func(what string) {
			if !yield(what) {
				panic(killed{})
			}
		}
		dir := &fake{disk: w.disk, faults: w.faults, step: step}
		r := newRecord("record", func() bool { return w.alone }, dir)
		defer r.timer.Stop()
		r.watched = false
		for range rounds {
			w.round(a, r, dir, step)
		}
	}
	a.next, a.stop = iter.Pull(iter.Seq[string](body))
	return a
}

// round takes the lock, a token, and gives the lock back.
func (w *world) round(a *actor, r *Record, dir *fake, step func(string)) {
	var token uint64
	var err error
	// Others, of schedules beside this one, may close a record that is not in use.
	open := func(trusted bool) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		err := r.open()
		r.watched = r.watched || trusted && err == nil
		return err
	}
	take := func() {
		if w.trusting {
			_ = open(true)
		}
		token, err = r.Next()
	}
	if w.before {
		take()
	}
	for step("enter"); !w.shared && w.anyInside(); step("enter") {
		a.blocked = true
	}
	a.blocked, a.inside = false, true
	w.entries++
	entered := w.entries
	switch {
	case w.atRelease:
		if err = open(false); err == nil {
			names, _ := dir.list()
			s, _ := highest(names)
			token = s.last + 1
		}
	case !w.before:
		take()
	}
	if err != nil {
		w.wrong = err.Error()
		return
	}
	step("check")
	if a.inside || w.noLastCheck {
		w.granted(grantOf{entered: entered, done: w.entries, token: token})
	}
	if w.atRelease {
		step("work")
	}
	if w.atRelease && a.inside {
		w.disk.names = nil
		_ = dir.create(state{last: token, limit: token, synced: true}.String())
		_ = dir.sync(false)
	}
	a.inside = false
}

func (w *world) anyInside() bool {
	for _, a := range w.actors {
		if a.inside {
			return true
		}
	}
	return false
}

// granted checks a token against all before: it must be higher than those of all who
// had been granted theirs when this one entered, and equal to none; and if one after
// another is inside, lower than all of those who entered after this one.
func (w *world) granted(g grantOf) {
	for _, o := range w.grants {
		switch {
		case o.token == g.token:
			w.wrong = fmt.Sprintf("token %d twice", g.token)
		case o.done < g.entered && o.token > g.token:
			w.wrong = fmt.Sprintf("token %d after %d", g.token, o.token)
		case !w.shared && o.entered > g.entered && o.token < g.token:
			w.wrong = fmt.Sprintf("token %d of one who entered before the one with %d", g.token, o.token)
		}
	}
	w.grants = append(w.grants, g)
}

// run plays one schedule to its end.
func (w *world) run(processes, rounds int) {
	w.disk = new(disk)
	if w.made {
		w.disk.born, w.disk.names = true, []string{"5-9"}
	}
	w.disk.save()
	for id := range processes {
		w.actors = append(w.actors, w.start(id, rounds))
	}
	defer func() {
		for _, a := range w.actors {
			a.stop()
		}
	}()
	for id := processes; w.wrong == ""; {
		var ready []*actor
		for _, a := range w.actors {
			if !a.done && (!a.blocked || !w.anyInside()) {
				ready = append(ready, a)
			}
		}
		if len(ready) == 0 {
			return
		}
		n := len(ready)
		events := []func(){}
		if w.losses > 0 {
			events = append(events, func() { id = w.losePower(id, processes, rounds) })
		}
		for _, a := range w.actors {
			if w.kills > 0 && !a.done {
				events = append(events, func() { w.kill(a) })
			}
			if w.robs > 0 && a.inside && !w.shared {
				events = append(events, func() { w.rob(a) })
			}
		}
		c := w.choose(n + len(events))
		if c >= n {
			events[c-n]()
			continue
		}
		a := ready[c]
		what, ok := a.next()
		w.trace = append(w.trace, fmt.Sprintf("%d %s %v", a.id, what, w.disk))
		a.done = !ok
	}
}

func (w *world) kill(a *actor) {
	w.kills--
	w.trace = append(w.trace, fmt.Sprintf("%d killed", a.id))
	a.stop()
	a.done, a.inside, a.blocked = true, false, false
}

// rob lets others in beside one whose lease ran out.
func (w *world) rob(a *actor) {
	w.robs--
	w.trace = append(w.trace, fmt.Sprintf("%d robbed", a.id))
	a.inside = false
}

// losePower ends all processes, and starts others.
func (w *world) losePower(id, processes, rounds int) int {
	w.losses--
	for _, a := range w.actors {
		a.stop()
	}
	w.disk.lose(w.choose(len(w.disk.states)))
	w.trace = append(w.trace, fmt.Sprintf("power lost, %v", w.disk))
	w.actors = nil
	for range processes {
		w.actors = append(w.actors, w.start(id, rounds))
		id++
	}
	return id
}
