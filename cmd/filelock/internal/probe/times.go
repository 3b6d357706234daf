package probe

import (
	"context"
	"time"

	"github.com/filelock-go/filelock/internal/wake"
)

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
	_ = wake.Sleep(ctx, 5*poll)
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
