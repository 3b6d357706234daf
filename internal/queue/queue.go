// Package queue is the algorithm: how contenders that share nothing but a
// directory take turns, in order, never two at once.
//
// Every contender owns one ticket, a file under a fresh name. The ticket's
// number is the file's modification time; tickets are ordered by (number,
// name), and the lowest enters, and with it those that share the turn: a ticket's
// kind is part of its name. Letting the lowest of a single listing enter,
// with nothing more, is unsafe: B may create its ticket after A has entered
// and still draw A's number, or a smaller one after the clock stepped back.
// The cure is Lamport's bakery [1] with the modification time as the number.
//
//	R1  visible first   create the own ticket, and only then list.
//	R2  doorway         if the highest other number in that first listing, of
//	                    whatever kind, is not below the own one, raise the own
//	                    number above it, once. Then the number is final.
//	R3  then decide     only a listing begun after the number is final decides.
//	R4  enter           when that listing shows no lower ticket that conflicts:
//	                    two conflict unless both are shared.
//	R5  wait            else until each of these is gone, dead, or has risen
//	                    above ours: watch one, look once more after the watch
//	                    is set, and look at the rest before entering.
//	R6  numbers rise    and after the doorway never change.
//	R7  leave           by removing the own ticket and nothing else.
//	R8  dead tickets    may be removed by anyone; in doubt, alive.
//	R9  gone            is for ever, since names are never used again.
//	R10 caches          where listings or numbers may be old, a raise makes an
//	                    entry beside the ticket that tells the number (Announce).
//	R13 entry           whose turn it is takes the entry lock of its own ticket,
//	                    then looks whether the ticket is still there with its
//	                    number, and only then is inside; else it starts anew.
//	                    Whoever removes another's ticket has a lock on it
//	                    meanwhile that excludes the entry lock.
//	R14 resting         who leaves alone may keep its ticket, marked: it gives up
//	                    the entry lock, then looks whether anybody came, and
//	                    leaves if so. To come back it takes the entry lock, looks
//	                    whether its ticket is there, then whether anybody came:
//	                    alone it is inside, else it starts anew. Others remove a marked
//	                    ticket whose entry lock is free, when nothing else is
//	                    ahead. Alone is who sees none that conflicts; and a
//	                    ticket serves passages of its own kind.
//	R15 again           who leaves while others wait may keep its ticket, too:
//	                    it gives up the entry lock, then raises its number and
//	                    marks it in one step, and rests at the tail. Whoever comes
//	                    back while others are there takes the entry lock, looks its
//	                    name up, raises its number and takes the mark away in one
//	                    step, gives up the entry lock, and goes through the doorway
//	                    as if it had created the ticket just now.
//
// Why two that conflict are never inside. Let i have decided by listing L, begun
// after its number n was final, and let j be any other ticket that conflicts and is
// inside or comes in later.
//
//   - j was not in L. A listing shows whatever stays in the directory from its
//     beginning to its end, so j was created after L began. j's own first
//     listing is later still (R1): it shows i with its final n, and R2 puts j
//     above i. So j sees i below itself and waits.
//   - j was in L, higher than i. Numbers only rise (R6), so j ends above i,
//     and its deciding listing, which began after it rose, shows i. j waits.
//   - j was in L, lower than i. Then i waited until j had left, was removed, or
//     had risen above i. The first two are for ever (R9) and the third is the
//     case above.
//
// That a removed j is not inside, and never comes in, does not rest on why it
// was removed (R13). Had j its entry lock before the removal began, there was
// no removal. Has j it after, it looks for its name then, and starts anew. So
// a wrong verdict, "dead" or "stalled", costs j its place and nobody the
// exclusion. Where there are no entry locks the verdicts must be right.
//
// Resting (R14) lets nobody in either. When j was let in first, its ticket was
// below all that conflict and were there or came later (the cases above), and below
// them it stays, marked or not, for as long as the file is there. So whoever of them
// comes in has waited for it to be removed, and then R13 keeps j out. That j looks
// for newcomers before it comes back is for the order: those who came while it
// rested are not to be overtaken. That it looks as it begins to rest, after it has
// given up the entry lock, is for those who found that held, and sleep. Both looks
// take the directory's times for an answer where these can tell; should they lie,
// order and promptness suffer, not the exclusion. That its ticket is there the open
// file may tell j (Reenter): whoever removes it by R13 takes its last name.
//
// Nor does queueing again (R15). A ticket that rests at the tail is outside, and
// comes in by no other way than the doorway. There it is like one that was created
// just now, at the moment it was raised: the first case holds for it with that
// moment for its creation, since whoever listed it before that knows it by a lower
// number, looks at it again before it comes in, and finds it risen, or removes it.
//
// Nothing here depends on clocks, on their steps or on how coarse the stored
// times are: they decide the order, never the exclusion. Since i has the last
// word on its lower tickets one at a time, it may wait for them one at a time;
// waiting for the highest of them first wakes one contender at each hand-off.
//
// Kinds take nothing from this but the pairs that do not conflict: all of it is
// about two tickets, and each of these can read the other's kind as soon as it can
// see the other. A kind that became readable only later, or changed, would let two
// in: who has passed a ticket by does not look at it again.
//
// Fairness: by the first case, whoever arrives once i's number is final ends
// above i and, if they conflict, cannot enter before i has left. So a stream of
// readers starves no writer, nor writers a reader: all draw their numbers over all
// tickets, and those that come later wait.
//
// Peers that know only the plain rule never raise, so one of them that arrives
// in the tick of a raised holder's creation sees itself lowest. R12 (Contender
// option plainPeers) has a contender that R13 lets in sink first: it sets its
// number to the epoch, so that every plain ticket from then on waits for it,
// and lists once more for those from before. R13 comes before, because sinking
// writes over a number that somebody changed; whoever has to rise and wait again
// keeps its entry lock meanwhile.
//
// [1] L. Lamport, A New Solution of Dijkstra's Concurrent Programming Problem,
// CACM 17(8), 1974.
package queue

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// through goes through the doorway, once, and then to the head of the queue.
func (c *Contender) through(ctx context.Context, try bool) error {
	if !c.final {
		if err := c.doorway(); err != nil {
			return err
		}
	}
	for {
		if err := c.passAll(ctx, try); err != nil {
			return err
		}
		if err := c.comeIn(); err != nil {
			return err
		}
		if in, err := c.sink(); in || err != nil {
			return err
		}
	}
}

// comeIn is R13.
func (c *Contender) comeIn() error {
	now, err := c.dir.Enter()
	if err == nil && now != c.own.Number {
		err = ErrMoved
	}
	return err
}

// doorway makes the number final and decides (R2, R3).
func (c *Contender) doorway() error {
	number, others, err := c.list()
	if err != nil {
		return err
	}
	c.setOwn(Ticket{Name: c.own.Name, Number: number})
	if len(others) > 0 {
		top := slices.MaxFunc(others, Ticket.Compare)
		if top.Number.Compare(c.own.Number) >= 0 {
			if err := c.raise(top); err != nil {
				return err
			}
			if _, others, err = c.list(); err != nil {
				return err
			}
		}
	}
	c.decide(others)
	if err := c.dir.Settle(len(c.ahead) > 0); err != nil {
		return err
	}
	c.final = true
	return nil
}

// steps are what a raise adds, until the filesystem keeps one: they end above
// FAT's two seconds.
var steps = [...]time.Duration{1, 100, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second}

// raise makes the own number higher than top's (R2).
func (c *Contender) raise(top Ticket) error {
	for _, step := range steps {
		want, ok := top.Number.Add(step)
		if !ok {
			break
		}
		stored, err := c.dir.Renumber(want)
		if err != nil {
			return err
		}
		if stored.Compare(top.Number) > 0 {
			c.setOwn(Ticket{Name: c.own.Name, Number: stored})
			return c.dir.Announce(stored)
		}
	}
	return fmt.Errorf("%w %q", ErrTop, top.Name)
}

// list returns the own number as a listing shows it, and the others' tickets.
func (c *Contender) list() (Number, []Ticket, error) {
	if err := c.note(); err != nil {
		return Number{}, nil, err
	}
	all, err := c.dir.List()
	if err != nil {
		return Number{}, nil, err
	}
	i := slices.IndexFunc(all, func(t Ticket) bool { return t.Name == c.own.Name })
	if i < 0 {
		return Number{}, nil, ErrGone
	}
	number := all[i].Number
	all[i] = all[len(all)-1]
	others := all[:len(all)-1]
	c.crowded = slices.ContainsFunc(others, c.own.Conflicts)
	c.alone = c.known && !c.crowded
	return number, others, nil
}

// decide sets what to wait for: all the lower of these tickets that conflict (R4, R5).
func (c *Contender) decide(others []Ticket) {
	lower := slices.DeleteFunc(others, func(t Ticket) bool { return !t.Before(c.own) })
	slices.SortFunc(lower, Ticket.Compare)
	if c.shared {
		c.setBelow(slices.DeleteFunc(slices.Clone(lower), c.own.Conflicts))
		lower = slices.DeleteFunc(lower, func(t Ticket) bool { return !c.own.Conflicts(t) })
	}
	c.setAhead(lower)
	c.passed = nil
}

// passAll waits for every ticket ahead, from the nearest on (R5). Those that rest
// are out of the way until nothing else is ahead (R14): most have come back by
// then, behind us.
func (c *Contender) passAll(ctx context.Context, try bool) error {
	waited, last := false, false
	for {
		if len(c.ahead) == 0 {
			if len(c.passed) == 0 {
				return nil
			}
			slices.Reverse(c.passed) // they were met from the nearest on
			c.setAhead(c.passed)
			c.passed, last = nil, true
		}
		if err := ctx.Err(); err != nil {
			return err // many dead ones take their time
		}
		n := len(c.ahead) - 1
		// The nearest ticket usually stays until its owner has held the lock, so
		// set the watch before the first look. When it has gone, those before it
		// mostly have gone too, or risen.
		moved, rests, err := c.pass(ctx, c.ahead[n], try, !waited && !last, last || n == 0)
		if err != nil {
			return err
		}
		if rests {
			c.passed = append(c.passed, c.ahead[n])
		}
		remaining := c.ahead[:n]
		if moved && n > 0 {
			// Of a copy, since others may look at c.ahead meanwhile.
			if remaining, err = c.dir.Remaining(slices.Clone(remaining)); err != nil {
				return err
			}
			remaining = slices.DeleteFunc(remaining, c.own.Before)
		}
		c.setAhead(remaining)
		waited = waited || moved
	}
}

// pass waits until t is no longer ahead, and reports whether it had to, or until
// it rests, unless it is the last one. If a wait is likely, it sets a watch before
// the first look.
func (c *Contender) pass(ctx context.Context, t Ticket, try, likely, last bool) (moved, rests bool, err error) {
	var watch Watch
	if likely {
		watch = c.others.Watch(t)
		defer watch.Stop()
	}
	for {
		now, standing, err := c.others.Look(t, last)
		switch {
		case err != nil:
			return moved, false, err
		case standing == Gone, c.own.Before(now):
			return moved, false, nil
		case standing == AtRest:
			return moved, true, nil
		case try && standing == Final:
			return moved, false, ErrBusy
		}
		if watch == nil {
			watch = c.others.Watch(t)
			defer watch.Stop()
			continue
		}
		// Looked at with the watch set: a change before the watch is seen by
		// that look, and one after it ends the wait.
		if err := watch.Wait(ctx, standing == Provisional); err != nil {
			return moved, false, err
		}
		moved = true
	}
}
