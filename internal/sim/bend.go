package sim

import (
	"time"

	"github.com/filelock-go/filelock/internal/queue"
)

// Bend breaks a rule that is not in package queue's hands, but in those of the
// directory or of the ticket's owner. TestBends wants each one caught, but for
// the one that is known to be harmless.
type Bend string

const (
	BendListFirst     Bend = "list-first"     // the first listing is from before the creation
	BendTornListing   Bend = "torn-listing"   // a listing may miss what is there all the while
	BendBlindToMoves  Bend = "blind-to-moves" // watches do not report numbers
	BendBlindToDeath  Bend = "blind-to-death" // watches do not report deaths
	BendNumberFirst   Bend = "number-first"   // a look reads the number before that on which the standing rests
	BendSkipsLive     Bend = "skips-live"     // a ticket of the living is passed by, and left
	BendSkipsHeir     Bend = "skips-heir"     // a ticket of the dead is passed by, though an heir has its entry lock
	BendRaisesFirst   Bend = "raises-first"   // who passes its turn on raises its number before it gives up the entry lock
	BendNoEntry       Bend = "no-entry"       // the owner enters without the entry lock
	BendNoLook        Bend = "no-look"        // the owner does not look its name up once it has the entry lock
	BendLooksFirst    Bend = "looks-first"    // the owner looks its name up before it has the entry lock
	BendTestsEntry    Bend = "tests-entry"    // whoever removes a ticket tests its entry lock, and does not exclude it
	BendRobsHolders   Bend = "robs-holders"   // whoever removes a ticket does so though its entry lock is held
	BendRobsWaiters   Bend = "robs-waiters"   // whoever removes a ticket that rests does so though it has got in line again
	BendRaisesHolding Bend = "raises-holding" // the holder's number rises
	BendLowersHolding Bend = "lowers-holding" // the holder's number falls: harmless, and what R12 rests on
	BendServerLocal   Bend = "server-local"   // cached mode: one contender is on the server, caches nothing and announces nothing
	BendLateKind      Bend = "late-kind"      // an exclusive ticket looks shared until its owner has listed
	BendOtherKind     Bend = "other-kind"     // whoever comes back uses its ticket for whatever kind
	BendCoarseView    Bend = "coarse-view"    // one contender sees and stores whole seconds, the others more
)

// Bends are all that do harm.
var Bends = []Bend{
	BendListFirst, BendTornListing, BendBlindToMoves, BendBlindToDeath, BendNumberFirst,
	BendSkipsLive, BendSkipsHeir, BendRaisesFirst, BendNoEntry, BendNoLook, BendLooksFirst, BendTestsEntry,
	BendRobsHolders, BendRobsWaiters, BendRaisesHolding, BendServerLocal, BendCoarseView,
	BendLateKind, BendOtherKind,
}

// view is what a sees of a number.
func (a *actor) view(n queue.Number) queue.Number {
	if a.w.bend == BendCoarseView && a.id == 0 {
		return cut(n, time.Second)
	}
	return n
}

// kindOf is the kind that others see of f.
func (w *world) kindOf(f *file) (shared bool) {
	return f.shared || w.bend == BendLateKind && !f.listed
}

// tears reports whether a listing is to miss an entry of another's.
func (a *actor) tears(f *file) bool {
	return a.w.bend == BendTornListing && f.owner != a && a.w.rng.IntN(8) == 0
}

// bendHolding changes a holder's number.
func (o *own) bendHolding() {
	switch o.w.bend {
	case BendRaisesHolding:
		o.w.store(o.file, plus(o.file.number(), 10*time.Second))
	case BendLowersHolding:
		o.w.store(o.file, plus(o.file.number(), -10*time.Second))
	}
}
