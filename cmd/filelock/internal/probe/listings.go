package probe

import (
	"context"
	"slices"
)

func lists(e End, name string) bool { return slices.Contains(must(e.List()).Names, name) }

// ownListings: a listing begun after an own change of the directory shows whatever
// others made before that change. The doorway rests on it (R1, R3, R10).
func (l *Lab) ownListings(ctx context.Context) {
	const property, rounds = "listings after an own change", 20
	missed, neither := 0, 0
	for range rounds {
		must(l.B.List()) // for caches to have something
		a, b := l.name(), l.name()
		must(l.A.Create(a))
		must(l.B.Create(b))
		if !lists(l.B, a) {
			missed++
		}
		must(l.A.Remove(a))
		must(l.B.Remove(b))
	}
	for range rounds {
		a, b := l.name(), l.name()
		saw := make(chan bool, 1)
		failure := make(chan any, 1)
		go func() {
			defer func() { failure <- recover() }()
			must(l.B.Create(b))
			saw <- lists(l.B, a)
		}()
		must(l.A.Create(a))
		sawA := lists(l.A, b)
		if e := <-failure; e != nil {
			panic(e)
		}
		if sawB := <-saw; !sawA && !sawB {
			neither++
		}
		must(l.A.Remove(a))
		must(l.B.Remove(b))
	}
	if missed > 0 || neither > 0 {
		l.found(property, Broken, 0, "miss what others made before it: %d of %d; two that made a file each and then listed saw neither the other's: %d of %d", missed, rounds, neither, rounds)
		return
	}
	l.found(property, Good, 0, "show all that others made before it, %d of %d", 2*rounds, 2*rounds)
}

// listings: how soon a listing without an own change shows what others made.
func (l *Lab) listings(ctx context.Context) {
	must(l.B.List())
	name := l.name()
	must(l.A.Create(name))
	age := l.age(ctx, func() bool { return lists(l.B, name) })
	must(l.A.Remove(name))
	l.found("listings", l.stale(age), age, "show what another process made %s", l.after(age))
}

// complete: what is there is in every listing.
func (l *Lab) complete(ctx context.Context) {
	const property, files, rounds = "complete listings", 30, 20
	var names []string
	for range files {
		names = append(names, l.name())
		must(l.A.Create(names[len(names)-1]))
	}
	names = append(names, l.name())
	must(l.B.Create(names[files])) // after which its listings are fresh
	gaps := 0
	for range rounds {
		for _, e := range []End{l.A, l.B} {
			listed := must(e.List()).Names
			for _, n := range names {
				if !slices.Contains(listed, n) {
					gaps++
				}
			}
		}
	}
	for _, n := range names {
		must(l.A.Remove(n))
	}
	if gaps > 0 {
		l.found(property, Broken, 0, "leave out files that are there: %d of %d", gaps, 2*rounds*len(names))
		return
	}
	l.found(property, Good, 0, "show each of %d files in each of %d listings", len(names), 2*rounds)
}

// removals: a removed file is soon known to be gone by a listing or by an open (R9), and
// one that is there never is.
func (l *Lab) removals(ctx context.Context) {
	const property = "removals"
	kept, gone := l.name(), l.name()
	must(l.A.Create(kept))
	must(l.A.Create(gone))
	must(l.B.Stat(kept))
	must(l.B.Stat(gone))
	must(l.B.List())
	must(l.A.Remove(gone))
	age := l.age(ctx, func() bool {
		r := l.B.Fresh(gone)
		if r.Absent {
			return true
		}
		must(r)
		return !lists(l.B, gone)
	})
	if r := l.B.Fresh(kept); r.Absent {
		l.found(property, Broken, age, "a file that is there seems to be gone")
		return
	}
	must(l.A.Remove(kept))
	grade := l.stale(age)
	if age < 0 {
		grade = Broken
	}
	l.found(property, grade, age, "another process learns of it %s", l.after(age))
}
