package probe

import (
	"context"
	"time"
)

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
