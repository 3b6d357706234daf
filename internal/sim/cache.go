package sim

import "github.com/filelock-go/filelock/internal/queue"

// The cached mode: what one client sees of the directory (rule R10).

// caches reports whether a sees the directory through a cache.
func (a *actor) caches() bool {
	return a.w.plan.cached && !(a.w.bend == BendServerLocal && a.id == 0)
}

// addGhosts adds to a's listing what is gone, but may be there still for a:
// whatever went after a's own last change.
func (a *actor) addGhosts() {
	for _, f := range a.w.dir.ghosts {
		if f.removedAt > a.changedAt && f.owner != a && a.w.rng.IntN(4) == 0 {
			a.todo = append(a.todo, f)
		}
	}
}

// cacheShows reports whether a's listing shows f. It is sure to show what was
// there at a's last change, and what it has shown before.
func (a *actor) cacheShows(f *file) bool {
	mask := uint64(1) << a.id
	if f.removed {
		return f.removedAt > a.changedAt && f.owner != a && a.w.rng.IntN(2) == 0
	}
	if f.createdAt > a.changedAt && f.seenBy&mask == 0 && a.w.rng.IntN(2) == 0 {
		return false
	}
	f.seenBy |= mask
	return true
}

// read returns f's number as a sees it: any that f ever had, but not an older
// one than before.
func (a *actor) read(f *file) queue.Number {
	if !a.caches() || f.owner == a {
		return a.view(f.number())
	}
	seen := &f.readBy[a.id]
	if behind := len(f.numbers) - 1 - *seen; behind > 0 {
		*seen += a.w.rng.IntN(behind + 1)
	}
	return f.numbers[*seen]
}
