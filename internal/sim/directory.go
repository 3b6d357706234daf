package sim

import (
	"slices"

	"github.com/filelock-go/filelock/internal/queue"
)

// file is an entry of the directory: a ticket, or what announces a raised one.
type file struct {
	name      string
	owner     *actor // nil: planted
	raised    bool   // it announces a number
	plain     bool
	shared    bool // its kind
	listed    bool // its owner has listed since it was created
	dead      bool // its owner is
	settled   bool // it can be seen that its owner has passed the doorway
	entered   bool // its entry lock is held (R13)
	marked    bool // it rests while its entry lock is free (R14)
	removers  int  // how many have the lock that excludes the entry lock
	robbed    bool // somebody wrongly removed or touched it, or is about to
	removed   bool
	createdAt int // when, in changes of the directory
	removedAt int

	numbers []queue.Number // all it ever had; the last one counts

	// What a watch may report.
	moves, deaths, removals int

	// What the caches of the clients hold; see cache.go.
	seenBy uint64
	readBy [maxActors]int
}

func (f *file) number() queue.Number { return f.numbers[len(f.numbers)-1] }

// directory is what all see in the end.
type directory struct {
	files   []*file // in the order of creation
	ghosts  []*file // removed
	changes int     // creations and removals so far: the time for caches
	version int     // changes of any kind

	tick    int // of the clock that stamps the directory
	stamped int // the tick of the last creation or removal
}

func (d *directory) add(f *file) {
	d.changes++
	d.version++
	d.stamped = d.tick
	f.createdAt = d.changes
	d.files = append(d.files, f)
}

func (d *directory) remove(f *file) {
	d.changes++
	d.version++
	d.stamped = d.tick
	f.removed, f.removedAt = true, d.changes
	f.removals++
	i := slices.Index(d.files, f)
	d.files = slices.Delete(d.files, i, i+1)
	d.ghosts = append(d.ghosts, f)
}

// find returns the file of that name, removed or not. Names are never reused.
func (d *directory) find(name string) *file {
	for _, f := range d.files {
		if f.name == name {
			return f
		}
	}
	for _, f := range d.ghosts {
		if f.name == name {
			return f
		}
	}
	return nil
}

// scan lists the directory for a: it calls visit for each entry that the
// listing shows, at the moment when the listing comes to it.
func (a *actor) scan(visit func(*file)) {
	w := a.w
	d := &w.dir
	a.step()
	a.todo = append(a.todo[:0], d.files...)
	began := d.changes
	if a.caches() {
		a.addGhosts()
	}
	for len(a.todo) > 0 {
		i := w.rng.IntN(len(a.todo))
		f := a.todo[i]
		a.todo[i] = a.todo[len(a.todo)-1]
		a.todo = a.todo[:len(a.todo)-1]
		if a.shows(f) {
			visit(f)
		}
		a.step()
		// What was created meanwhile may be shown, now or later, or not.
		for _, f := range d.files {
			if f.createdAt > began && w.rng.IntN(2) == 0 {
				began = f.createdAt
				if w.rng.IntN(2) == 0 {
					a.todo = append(a.todo, f)
				}
			}
		}
	}
}

// shows reports whether a's listing shows f when it comes to it.
func (a *actor) shows(f *file) bool {
	if a.tears(f) {
		return false
	}
	if a.caches() {
		return a.cacheShows(f)
	}
	return !f.removed
}
