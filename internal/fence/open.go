package fence

import (
	"slices"
	"sync"
)

// maxOpen is how many records stay open: who locks one path after another must not
// run out of descriptors.
const maxOpen = 16

// open are the records that are open, the latest last. Its mutex is locked with a
// record's held, never the other way round.
var open struct {
	mu      sync.Mutex
	records []*Record
}

// register notes that r is open, and closes another one if there are many. r.mu is
// held.
func register(r *Record) {
	open.mu.Lock()
	defer open.mu.Unlock()
	open.records = append(open.records, r)
	for i := 0; len(open.records) > maxOpen && i < len(open.records)-1; {
		if old := open.records[i]; old.mu.TryLock() {
			old.dir.close()
			old.opened = false
			old.mu.Unlock()
			open.records = slices.Delete(open.records, i, i+1)
		} else {
			i++ // in use
		}
	}
}

func unregister(r *Record) {
	open.mu.Lock()
	defer open.mu.Unlock()
	open.records = slices.DeleteFunc(open.records, func(o *Record) bool { return o == r })
}

// CloseIdle closes all records that are open for later use, and reports whether
// there were some.
func CloseIdle() (some bool) {
	open.mu.Lock()
	records := slices.Clone(open.records)
	open.mu.Unlock()
	for _, r := range records {
		if r.mu.TryLock() {
			some = some || r.opened
			r.shut()
			r.mu.Unlock()
		}
	}
	return some
}

// Close closes what is kept open for later use, unless it is in use now.
func (r *Record) Close() {
	if r.mu.TryLock() {
		defer r.mu.Unlock()
		r.shut()
		r.timer.Stop()
	}
}

// used notes a use that has just ended. What a server has is opened each time: its
// clients cannot tell whether the path names the same directory still. r.mu is held.
func (r *Record) used() {
	switch {
	case !r.opened:
	case r.alone():
		r.timer.Used()
	default:
		r.shut()
	}
}

func (r *Record) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer.Over(!r.opened) {
		r.shut()
	}
}
