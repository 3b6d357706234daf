// Package wake waits for one file to change: by the kernel's word where there
// is one, and always by looking again after a while.
package wake

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

const (
	// first is the pause before the second look at something that is expected
	// to change at once. It doubles from there up to the poll interval.
	first = 200 * time.Microsecond
	// unhurried is first before anything has happened, where the kernel reports
	// all changes: at a busy lock the file is gone long before that.
	unhurried = 5 * time.Millisecond
	// While the kernel reports all changes anyway, polling is but a safety net:
	// the interval is relaxed times as long, and doubles up to rare times. It
	// does not for those who listen for a bell, which does not tell of a ticket
	// that somebody else removes.
	relaxed, rare = 100, 600
	// longest is an interval that can still be multiplied.
	longest = math.MaxInt64 / rare
	// jitter is the part of a pause that is drawn at random, so that many
	// waiters do not look at the same moment.
	jitter = 0.25
)

// Waiter waits for changes of one file. One goroutine at a time may use it.
type Waiter struct {
	path     string
	interval time.Duration
	complete bool // the kernel reports every change of this file

	watch   source // nil: not set
	unable  bool   // the kernel will not watch; poll
	missing bool   // the file was not there when the watch was to be set
	hasty   time.Duration
	patient time.Duration
	stirred bool // something happened, and may not be all
	limit   time.Duration
}

// source is one promise of the kernel to tell of a change.
type source interface {
	// wait reports whether it did, before d has passed and ctx was done. Then
	// the source is used up.
	wait(ctx context.Context, d time.Duration) bool
	stop()
}

// New begins to watch the file at path. interval is the time between looks.
// complete tells that the kernel sees every change of the file, because no
// other kernel can make one; then the interval may grow.
func New(path string, interval time.Duration, complete bool) *Waiter {
	w := Later(path, interval, complete)
	w.Arm()
	return w
}

// Later is New for those who may begin to watch with Arm, and only poll until
// then.
func Later(path string, interval time.Duration, complete bool) *Waiter {
	w := &Waiter{path: path, interval: min(interval, longest), complete: complete, unable: true}
	w.reset()
	return w
}

// Arm begins to watch, and reports whether it could. The caller looks at the
// file after it.
func (w *Waiter) Arm() bool {
	w.arm()
	return w.armed()
}

// Listen is Arm, but waits for the bell of this name, if it is pid's.
func (w *Waiter) Listen(name string, pid int) bool {
	if l := listen(name, pid); l != nil {
		w.watch, w.unable = l, false
	}
	return w.armed()
}

func (w *Waiter) armed() bool {
	if w.watch != nil && w.complete {
		w.hasty = unhurried
	}
	return w.watch != nil
}

// Poll is New for a file that is not worth a watch: it only looks again.
func Poll(interval time.Duration) *Waiter {
	w := &Waiter{interval: min(interval, longest), unable: true}
	w.reset()
	return w
}

func (w *Waiter) reset() { w.hasty, w.patient = first, relaxed*w.interval }

// Wait returns nil when the file may have changed since the last call (or New)
// returned, or it is time to look again; if soon, within milliseconds. When
// ctx is done it returns ctx.Err(). The caller looks at the file after each
// nil, so no change is missed.
func (w *Waiter) Wait(ctx context.Context, soon bool) error {
	if w.watch == nil && !w.unable {
		// The last watch is used up. Set the next one, and have the caller
		// look once more: the file may have changed in between.
		w.arm()
		return ctx.Err()
	}
	d := w.pause(soon)
	if w.limit > 0 {
		d = min(d, w.limit)
	}
	if w.watch != nil {
		if w.watch.wait(ctx, d) {
			w.watch = nil
			w.reset()
			// An owner's end closes its files before its process is gone.
			w.stirred = w.complete
			return nil
		}
		return ctx.Err()
	}
	return Sleep(ctx, d)
}

// Sleep returns after d, or with ctx.Err() as soon as ctx is done.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Limit sets the longest time that a Wait may take from now on. By default
// there is no limit but the interval's.
func (w *Waiter) Limit(d time.Duration) { w.limit = max(d, minLimit) }

// minLimit keeps a limit that has passed from becoming none.
const minLimit = time.Microsecond

// Blind reports whether the kernel will not tell of changes at all.
func (w *Waiter) Blind() bool { return w.unable }

// pause returns how long to wait before the next look.
func (w *Waiter) pause(soon bool) time.Duration {
	d := w.patient
	switch {
	case (soon || w.stirred) && w.hasty < w.interval:
		d = w.hasty
		w.hasty *= 2
	case soon || w.watch == nil || !w.complete:
		d = w.interval
	default:
		w.stirred = false
		if _, bell := w.watch.(*listener); !bell {
			w.patient = min(2*w.patient, rare*w.interval)
		}
	}
	return d - time.Duration(rand.Float64()*jitter*float64(d))
}

func (w *Waiter) arm() {
	before := w.missing
	var set *watch
	if set, w.unable, w.missing = newWatch(w.path, w.complete); set != nil {
		w.watch = set
	}
	if w.missing && before {
		// The caller still sees a file that is not where we look for it: its
		// directory was renamed.
		w.watch, w.unable = nil, true
	}
}

// Stop ends the watch.
func (w *Waiter) Stop() {
	if w.watch != nil {
		w.watch.stop()
		w.watch = nil
	}
}
