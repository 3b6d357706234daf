package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/filelock-go/filelock/internal/wake"
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
		_ = wake.Sleep(ctx, poll) // seen is asked once more, whichever
		if seen() {
			return time.Since(began)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return -1
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
