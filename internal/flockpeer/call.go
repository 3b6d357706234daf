package flockpeer

import (
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"
)

// call is a flock(2) that waits, of one kind.
//
// It cannot be called off. So it waits in a goroutine of its own, for whoever wants the
// lock, and goes on when nobody does any more: if it gets the lock then, it gives it
// back at once. Who comes before that is served by it, and so has its place among the
// peers. However many give up, and however many want it at a time, one call of a kind
// waits. To poll instead would be simpler, and starve beside two peers that wait in
// flock: the lock is hardly ever free at the moment of a poll.
//
// What it gets, it has from the moment at which the kernel gives it, which is before its
// goroutine hears of it. A try in between would be refused for a lock that nobody
// wants. So a try asks by the call's own open file: to the kernel it is that which has
// the lock, and asking it again for what it has succeeds.
type call struct {
	kind    Kind
	wanted  []chan result // who waits for it, the first one first, each with room for one; guarded by File.mu
	stopped chan struct{} // closed at the end of its goroutine

	mu   sync.Mutex // also while a lock is given back, or asked for by a try; before File.mu
	lock *lock      // which waits in flock, or has it; nil: none, or a try has taken it
}

// want has the answer sent what a call of the kind gets.
func (f *File) want(kind Kind, answer chan result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.calls[kind]
	if c == nil {
		c = f.start(kind, nil)
	}
	c.wanted = append(c.wanted, answer)
}

// start starts a call for those who want it. f.mu is held.
func (f *File) start(kind Kind, wanted []chan result) *call {
	c := &call{kind: kind, wanted: wanted, stopped: make(chan struct{})}
	f.calls[kind] = c
	go f.run(c)
	go f.follow(c)
	return c
}

// unwant undoes want.
func (f *File) unwant(kind Kind, answer chan result) {
	f.mu.Lock()
	if c := f.calls[kind]; c != nil {
		c.wanted = slices.DeleteFunc(c.wanted, func(a chan result) bool { return a == answer })
	}
	f.mu.Unlock()
	select {
	case r := <-answer: // as we gave up
		if r.lock != nil {
			f.giveBack(r.lock)
		}
	default:
	}
}

// isWanted reports whether anybody waits for what c gets.
func (f *File) isWanted(c *call) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(c.wanted) > 0
}

// goesOn is isWanted, and the end of c if not.
func (f *File) goesOn(c *call) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(c.wanted) > 0 {
		return true
	}
	if f.calls[c.kind] == c {
		f.calls[c.kind] = nil
	}
	return false
}

// run waits in flock for as long as anybody wants it.
func (f *File) run(c *call) {
	defer close(c.stopped)
	h := how{kind: c.kind, waits: true}
	for replaced := 0; f.goesOn(c); {
		l, err := lockOnce(f.path, &h, c.begin)
		if l != nil {
			close(l.returned)
			l.unuse()
		}
		if errors.Is(err, errAgain) {
			if replaced++; replaced < mostReplaced {
				c.drop(l)
				continue
			}
			err = &fs.PathError{Op: "flock", Path: f.path, Err: errReplaced}
		}
		replaced = 0
		f.end(c, l, err)
	}
}

// begin notes the file that is about to wait. Until flock has returned it is not to be
// closed, even if a try takes it: its number may be another file's by then.
func (c *call) begin(l *lock) {
	l.returned = make(chan struct{})
	l.users.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lock = l
}

// drop closes what c had, unless a try has taken it.
func (c *call) drop(l *lock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock != nil {
		c.lock = nil
		l.close()
	}
}

// end gives what c got to the first one who wants it, or back.
func (f *File) end(c *call, l *lock, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l != nil && c.lock == nil {
		return // a try has taken it
	}
	c.lock = nil
	f.mu.Lock()
	wanted := len(c.wanted) > 0
	if wanted {
		r := result{err: err}
		if err == nil {
			r.lock = l
		}
		c.wanted[0] <- r
		c.wanted = slices.Delete(c.wanted, 0, 1)
	}
	f.mu.Unlock()
	if l != nil && (err != nil || !wanted) {
		l.close()
		f.given.Add(1) // after that: a try that was refused before sees it
	}
}

// inheritPatience is how long who has taken a lock from a call waits for flock(2) to
// return there. It has been woken, or it would not have the lock; only a client of a
// server may look again some time later.
const inheritPatience = 100 * time.Millisecond

// inherit returns the lock of a call that nobody wants any more, if that has it or can
// have it now, or nil.
func (f *File) inherit(kind Kind) *lock {
	f.mu.Lock()
	c := f.calls[kind]
	f.mu.Unlock()
	if c == nil {
		return nil
	}
	l := f.take(c)
	if l == nil {
		return nil
	}
	// Else the kernel might give the lock to the open file once more, after it was given
	// back, and keep others out until flock has returned.
	timer := time.NewTimer(inheritPatience)
	defer timer.Stop()
	select {
	case <-l.returned:
	case <-timer.C:
	}
	return l
}

func (f *File) take(c *call) *lock {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lock
	if l == nil || f.isWanted(c) || l.flock(c.kind, false) != nil {
		return nil
	}
	if named, err := l.named(); err != nil || !named {
		return nil // the call finds that out, too
	}
	c.lock = nil
	return l
}

// follow starts another call once the path names another file: peers may have removed
// theirs, and who has that may never leave it. The call on the old one ends with that.
func (f *File) follow(c *call) {
	ticker := time.NewTicker(f.followed)
	defer ticker.Stop()
	for {
		select {
		case <-c.stopped:
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		l := c.lock
		c.mu.Unlock()
		if l == nil {
			continue
		}
		if named, err := l.named(); err == nil && !named {
			f.supersede(c, l)
		}
	}
}

// supersede has those who want c wait for another call, if c still waits for l.
func (f *File) supersede(c *call, l *lock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.lock == l && len(c.wanted) > 0 {
		f.start(c.kind, c.wanted)
		c.wanted = nil
	}
}
