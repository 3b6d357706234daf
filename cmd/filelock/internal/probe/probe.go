package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Grade is what a finding means for the lock.
type Grade string

const (
	// Good: as on a local disk.
	Good Grade = "good"
	// Limited: the lock copes with it, for a price that the finding names.
	Limited Grade = "limited"
	// Broken: the lock relies on it, and it does not hold.
	Broken Grade = "broken"
)

// Finding is what one experiment showed.
type Finding struct {
	Property string `json:"property"`
	Between  string `json:"between"` // which processes
	Grade    Grade  `json:"grade"`
	Result   string `json:"result"`
	// Seconds is a time step or an age, where the property is one. -1: longer than
	// was waited for.
	Seconds float64 `json:"seconds,omitempty"`
}

// Lab is where the experiments are made.
type Lab struct {
	// A and B are two processes. B may be on another host.
	A, B   End
	Remote bool
	// Between says who they are.
	Between string
	// OneKernel: the filesystem is of a kind that one kernel alone mounts, so that
	// the lock relies on more of it.
	OneKernel bool
	// Patience is how long a change may take to be seen, before the experiment is
	// over.
	Patience time.Duration
	// Kill has a third process take the entry lock of a file, kills it and returns
	// when it is gone. nil: nobody can be killed.
	Kill func(name string) error
	// Progress is told before each experiment, unless it is nil.
	Progress func(what string)

	findings []Finding
	run      string
	count    int
	made     map[string]bool
}

// errExperiment is of an experiment that could not be made. absent: a file that is there
// was said not to be.
type errExperiment struct {
	err    error
	absent bool
}

func (e errExperiment) Error() string { return e.err.Error() }

// Run makes all experiments. Its error says what kept one from being made, such as a
// directory that may not be written to; then the others are not made either.
func (l *Lab) Run(ctx context.Context) ([]Finding, error) {
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	l.run, l.made = hex.EncodeToString(id[:]), map[string]bool{}
	defer l.sweep()
	for _, e := range []struct {
		name string
		f    func(context.Context)
	}{
		{"modification times", l.numbers},
		{"listings after an own change", l.ownListings},
		{"listings", l.listings},
		{"complete listings", l.complete},
		{"attributes", l.attributes},
		{"removals", l.removals},
		{"entry locks", func(ctx context.Context) { l.locks(ctx, Entry, "entry locks") }},
		{"flock", func(ctx context.Context) { l.locks(ctx, Flock, "flock") }},
		{"death of an owner", l.death},
		{"notification of changes", l.notification},
		{"exclusive creation", l.exclusive},
	} {
		if err := ctx.Err(); err != nil {
			return l.findings, context.Cause(ctx)
		}
		if l.Progress != nil {
			l.Progress(e.name)
		}
		if err := l.experiment(ctx, e.name, e.f); err != nil {
			return l.findings, err
		}
	}
	return l.findings, nil
}

// experiment makes one. That a file that is there is said not to be is a finding, unless
// the directory is not there either.
func (l *Lab) experiment(ctx context.Context, name string, f func(context.Context)) (err error) {
	defer func() {
		r := recover()
		switch e, ok := r.(errExperiment); {
		case r == nil:
		case !ok:
			panic(r)
		case e.absent && l.A.List().Err == "":
			l.found(name, Broken, 0, "a file that is there is said not to be: %v", e.err)
		default:
			err = e.err
		}
	}()
	f(ctx)
	return nil
}

func (l *Lab) found(property string, grade Grade, seconds time.Duration, format string, args ...any) {
	s := seconds.Seconds()
	if seconds < 0 {
		s = -1
	}
	l.findings = append(l.findings, Finding{Property: property, Between: l.Between, Grade: grade, Result: fmt.Sprintf(format, args...), Seconds: s})
}

// name returns a new name, of the form of a ticket's.
func (l *Lab) name() string {
	l.count++
	name := fmt.Sprintf("%s%s.lock.probe.%d.%032x.pid", Prefix, l.run, os.Getpid(), l.count)
	l.made[name] = true
	return name
}

// sweep removes what the experiments made.
func (l *Lab) sweep() {
	for name := range l.made {
		l.A.Remove(name)
	}
}

// must ends the experiments if an operation failed that everything rests on.
func must(r Result) Result {
	if r.Err != "" {
		err := errors.New(r.Err)
		if r.Denied {
			err = fmt.Errorf("%w: %s", os.ErrPermission, r.Err)
		}
		panic(errExperiment{err, r.Absent})
	}
	return r
}

// poll is how often something is looked for that takes its time.
const poll = 10 * time.Millisecond

// age returns how long it takes until seen reports true: 0 if it does at once, -1 if it
// does not within the patience.
func (l *Lab) age(ctx context.Context, seen func() bool) time.Duration {
	if seen() {
		return 0
	}
	began := time.Now()
	for time.Since(began) < l.Patience {
		pause(ctx, poll)
		if seen() {
			return time.Since(began)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return -1
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// after describes an age.
func (l *Lab) after(d time.Duration) string {
	switch {
	case d == 0:
		return "at once"
	case d < 0:
		return fmt.Sprintf("not within %v", l.Patience)
	default:
		return fmt.Sprintf("after %v", d.Round(time.Millisecond))
	}
}

// stale is the grade of something seen late where the lock copes with that if there may
// be several kernels.
func (l *Lab) stale(d time.Duration) Grade {
	switch {
	case d == 0:
		return Good
	case l.OneKernel:
		return Broken
	default:
		return Limited
	}
}

func lists(e End, name string) bool { return slices.Contains(must(e.List()).Names, name) }

// steps are those by which the lock raises a number (rule R2).
var steps = []time.Duration{1, 100, time.Microsecond, time.Millisecond, time.Second, 2 * time.Second}

// numbers: a time can be set above another one, reads back as the same to everybody, and
// stays.
func (l *Lab) numbers(ctx context.Context) {
	const property = "modification times"
	name := l.name()
	last := must(l.A.Create(name)).Time
	step := time.Duration(0)
	raise := func() (time.Time, bool) {
		set, by := l.raise(name, last)
		step = max(step, by)
		return set, by > 0
	}
	if _, ok := raise(); !ok {
		l.found(property, Broken, -1, "cannot be set above %v, not even by %v", last.Format(time.RFC3339Nano), steps[len(steps)-1])
		return
	}
	last = must(l.A.Fresh(name)).Time
	seen := must(l.B.Fresh(name)).Time
	late := time.Duration(0)
	for range 10 {
		set, ok := raise()
		if !ok {
			l.found(property, Broken, step, "could be set higher once, and then not above %v", last.Format(time.RFC3339Nano))
			return
		}
		last = set
		age := l.age(ctx, func() bool {
			now := must(l.B.Fresh(name)).Time
			fell := now.Before(seen)
			seen = now
			return fell || now.Equal(set)
		})
		if !seen.Equal(set) {
			l.found(property, Broken, step, "differ by who looks: one process stored %v, and the other one reads %v", set.Format(time.RFC3339Nano), seen.Format(time.RFC3339Nano))
			return
		}
		late = max(late, age)
		if age > 0 {
			break // it takes its time
		}
	}
	pause(ctx, 5*poll)
	for who, e := range map[string]End{"the process that set it": l.A, "the other process": l.B} {
		if now := must(e.Fresh(name)).Time; !now.Equal(last) {
			l.found(property, Broken, step, "do not stay: it was %v, and %s reads %v a moment later", last.Format(time.RFC3339Nano), who, now.Format(time.RFC3339Nano))
			return
		}
	}
	switch {
	case late > 0:
		l.found(property, l.stale(late), step, "the smallest step is %v; another process reads a new one %s", step, l.after(late))
	case step >= time.Second:
		l.found(property, Limited, step, "the smallest step is %v", step)
	default:
		l.found(property, Good, step, "the smallest step is %v", step)
	}
}

// raise sets a file's time above another one, as the lock does: by the smallest step that
// is stored. by is 0 if none is.
func (l *Lab) raise(name string, above time.Time) (set time.Time, by time.Duration) {
	for _, s := range steps {
		if set = must(l.A.SetTime(name, above.Add(s))).Time; set.After(above) {
			return set, s
		}
	}
	return set, 0
}

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
	own := l.name()
	must(l.B.Create(own)) // so that its listings are fresh
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
	for _, n := range append(names, own) {
		must(l.A.Remove(n))
	}
	if gaps > 0 {
		l.found(property, Broken, 0, "leave out files that are there: %d of %d", gaps, 2*rounds*files)
		return
	}
	l.found(property, Good, 0, "show each of %d files in each of %d listings", files, 2*rounds)
}

// attributes: how old the time may be that a plain stat shows.
func (l *Lab) attributes(ctx context.Context) {
	name := l.name()
	last := must(l.A.Create(name)).Time
	must(l.B.Stat(name))
	set := must(l.A.SetTime(name, last.Add(10*time.Second))).Time
	age := l.age(ctx, func() bool { return must(l.B.Stat(name)).Time.Equal(set) })
	must(l.A.Remove(name))
	l.found("attribute age", l.stale(age), age, "another process sees a new time %s", l.after(age))
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

// locks: a lock that one process has is refused to another one, as long as it has it.
func (l *Lab) locks(ctx context.Context, kind LockKind, property string) {
	name := l.name()
	must(l.A.Create(name))
	defer l.A.Remove(name)
	first := l.A.Lock(name, kind)
	switch {
	case first.Held:
		l.found(property, Broken, 0, "refused to the first who asks")
		return
	case l.unlockable(property, first):
		return
	}
	second, shown := l.B.Lock(name, kind), l.B.LockOf(name)
	must(l.A.Unlock(name))
	switch {
	case second.Err == "" && !second.Held:
		l.B.Unlock(name)
		if l.Remote {
			l.found(property, Limited, 0, "do not reach the other host: both hold one at the same time")
			return
		}
		l.found(property, Broken, 0, "lie: two processes hold one at the same time, and both were told that they have it")
		return
	case l.unlockable(property, second):
		return
	case kind == Entry && shown.Err == "" && !shown.Held:
		l.found(property, Broken, 0, "lie: one that is refused is said to be free")
		return
	}
	if age := l.age(ctx, func() bool { r := l.B.Lock(name, kind); return r.Err == "" && !r.Held }); age < 0 {
		l.found(property, Broken, age, "stay taken after they were given up: for more than %v", l.Patience)
		return
	}
	l.B.Unlock(name)
	l.found(property, Good, 0, "exclude the other process, and end when they are given up")
}

// unlockable notes that there are no locks, if there are none.
func (l *Lab) unlockable(property string, r Result) bool {
	switch {
	case r.Unsupported:
		l.found(property, Limited, 0, "there are none: %s", r.Err)
		return true
	case r.Err != "":
		l.found(property, Limited, 0, "cannot be had: %s", r.Err)
		return true
	}
	return false
}

// death: the locks of a process that was killed end.
func (l *Lab) death(ctx context.Context) {
	const property = "death of an owner"
	if l.Kill == nil || l.Remote {
		return
	}
	name := l.name()
	must(l.A.Create(name))
	defer l.A.Remove(name)
	if r := l.A.Lock(name, Entry); r.Err != "" || r.Held {
		return // told by locks already
	}
	must(l.A.Unlock(name))
	if err := l.Kill(name); err != nil {
		l.found(property, Broken, 0, "another process could not take a lock that was free: %v", err)
		return
	}
	age := l.age(ctx, func() bool { r := l.A.Lock(name, Entry); return r.Err == "" && !r.Held })
	switch {
	case age < 0:
		l.found(property, Broken, age, "its locks outlive it: for more than %v", l.Patience)
	default:
		l.A.Unlock(name)
		l.found(property, Good, age, "its locks end %s", l.after(age))
	}
}

// notification: whether the kernel tells of another's changes, and soon.
func (l *Lab) notification(ctx context.Context) {
	const property, soon = "notification of changes", time.Second
	if r := l.A.Watch(); r.Err != "" {
		l.found(property, Limited, -1, "there is none: %s", r.Err)
		return
	}
	name := l.name()
	must(l.B.Create(name))
	began := time.Now()
	r := must(l.A.Told(name, soon))
	must(l.B.Remove(name))
	if !r.Held {
		l.found(property, Limited, -1, "nobody is told of another's change within %v", soon)
		return
	}
	l.found(property, Good, time.Since(began), "the kernel tells of another's change")
}

// exclusive: of two that create a file of one name at the same time one succeeds. Only
// fencing tokens rest on it.
func (l *Lab) exclusive(ctx context.Context) {
	const property, rounds = "exclusive creation", 20
	both, none := 0, 0
	for range rounds {
		name := l.name()
		theirs := make(chan Result, 1)
		go func() { theirs <- l.B.Create(name) }()
		a := l.A.Create(name)
		b := <-theirs
		switch {
		case a.Err == "" && b.Err == "":
			both++
		case a.Err != "" && b.Err != "":
			none++
		}
		l.A.Remove(name)
	}
	switch {
	case both > 0:
		l.found(property, Limited, 0, "two made the same file, %d of %d times: fencing tokens are not safe here", both, rounds)
	case none > 0:
		l.found(property, Limited, 0, "nobody made the file, %d of %d times", none, rounds)
	default:
		l.found(property, Good, 0, "one of two makes the file, %d of %d times", rounds, rounds)
	}
}

// Has reports whether a listing's name is one of those that experiments make.
func Has(name string) bool { return strings.HasPrefix(name, Prefix) }
