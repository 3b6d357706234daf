// Package sim runs the real code of package queue over a simulated directory,
// through schedules that are wholly determined by a seed. It is for tests
// only: nothing that ships imports it.
//
// # The model
//
// Every contender is a coroutine, and one runs at a time. It hands over before
// each thing it does to the directory, to another's ticket or to a watch; who
// goes on is drawn from the seed. Some schedules switch at every step, others
// let a contender run on or stall for long.
//
//   - Names are fresh and drawn at random, so that a later one may be lower.
//   - Created tickets are stamped by a clock that stands still, ticks coarsely
//     and steps in both directions. What is stored is cut to a unit between
//     1 ns and 2 s, and at the last time that the directory can store.
//   - A listing goes entry by entry, in any order, and others run in between.
//     Whatever is there all the while is shown. What comes or goes meanwhile
//     may be shown or not. Each number is read at its own moment.
//   - A watch reports changes after it began, and nothing else: a contender
//     whose wake-up was lost sleeps until the schedule ends in a deadlock. A
//     few wake-ups without a cause are thrown in.
//   - Contenders crash at any step, are cancelled while they wait and then
//     leave or wait again, only try, and come back for several rounds.
//     Operations fail. Tickets of the dead are there from the beginning, some
//     from before 1970, and sometimes one from the end of time.
//   - In half of the schedules some passages are shared, or all: each draws its kind
//     anew, and a ticket that rests serves its own kind alone.
//   - Entry locks and the locks that exclude them (R13) are taken in one step,
//     and what they are taken for is done in a later one. A crash ends those of
//     the crashed, unless an heir works on under the entry lock for a while.
//   - Anybody takes anybody for dead or stalled, rightly or not and at any time,
//     and removes the ticket by that protocol; and somebody raises the number of
//     one that waits. Those who are robbed so notice it at once or only when
//     their turn comes, and start anew, as the lock proper does.
//
// The modes:
//
//   - queue: all of the above.
//   - tries: all try at once, and nobody crashes or is robbed; exactly one must
//     succeed, or some if they share.
//   - cached: rule R10. Each contender is a client with a cache of its own. Its
//     listings are sure to show only what was there at its own last change of
//     the directory, which setting a time is not, and may show what is gone.
//     Others' numbers may be old, in listings for ever, in looks for a while.
//     There are no entry locks, so nobody is taken for dead who is not.
//   - plain: rule R12. One contender or two know the plain rule alone. The
//     clock does not step back. Overlaps among plain ones do not count, and the
//     order is not checked. Nothing is cached. There are no heirs, and plain
//     ones are not robbed: they know of no entry locks.
//
// What is checked is in check.go.
//
// # Limits
//
// Random schedules show that there are errors, never that there are none; the
// formal model searches all schedules of few contenders, but it is not this
// code. How good the net is, TestMutants and TestBends measure: they bend the
// code and the model in all the ways that are known to be wrong, and want each
// one caught. Two of the bends, server-local and coarse-view, are of what the
// lock asks of a filesystem: they show what goes wrong without it.
//
// Memory is sequentially consistent here, no operation is torn, and real
// directories, clocks and process tables are for the tests of the packages
// that deal with them. Leases and the passing of a ticket among goroutines are not
// simulated.
//
// Numbers are touched only between the doorway and Enter. Rule R6 is all there
// is against a touch in between the doorway's first listing and its raise, which
// writes over it; and against one that meets a holder.
//
// # Use
//
//	go test ./internal/sim -v                                  # all modes
//	go test ./internal/sim -v -sim.schedules=100000            # so many in each
//	go test ./internal/sim -v -run TestSchedules/cached -sim.seed=7 -sim.schedules=1
//	go test ./internal/sim -v -run TestMutants -mutants
//
// The third form replays one schedule and prints its steps; a failing test
// prints the line to copy. TestMutants compiles each bent source, a second or
// two each, so it waits for its flag; everything else runs always.
package sim
