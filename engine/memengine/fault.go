package memengine

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/filelock-go/filelock/engine"
)

// Fault is what is wrong with an engine's way to its service.
type Fault int

const (
	// None: requests are answered.
	None Fault = iota
	// Cut: requests are swallowed, as are the ends of waits.
	Cut
	// Mute: requests arrive, and the answers are swallowed.
	Mute
	// Denied: the service answers that the engine has no right to anything.
	Denied
)

// Break puts a fault on the engine's way from now on. What it holds up goes on once
// it is None again, unless nobody waits for it any more.
func (e *Engine) Break(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fault = f
	close(e.changed)
	e.changed = make(chan struct{})
}

// Delay has every request take that long to arrive, from now on. Those whose
// callers have given up meanwhile arrive all the same.
func (e *Engine) Delay(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.delay = d
}

func (e *Engine) state() (f Fault, delay time.Duration, changed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.fault, e.delay, e.changed
}

// denied is the error of a service that knows who may do what.
type denied struct{}

func (denied) Error() string        { return "memengine: permission denied" }
func (denied) Is(target error) bool { return target == fs.ErrPermission }

// ask has do run at the service, at most once and under its mutex, and returns nil
// when the answer has come. After an error do may have run, or run later: what it
// sets is to be read after nil only.
func (e *Engine) ask(ctx context.Context, do func()) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := e.send(ctx, do); err != nil {
		return err
	}
	for arrived := false; ; {
		fault, _, changed := e.state()
		switch {
		case fault == Denied:
			return denied{}
		case fault != Cut && !arrived:
			e.service.apply(do)
			arrived = true
		}
		if fault == None {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", engine.ErrUnavailable, ctx.Err())
		}
	}
}

// send takes as long as a request is on its way. If nobody waits for it any more,
// it arrives by itself.
func (e *Engine) send(ctx context.Context, do func()) error {
	fault, delay, _ := e.state()
	if delay <= 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	sent := time.Now()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		if fault == None || fault == Mute {
			time.AfterFunc(delay-time.Since(sent), func() { e.service.apply(do) })
		}
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, ctx.Err())
	}
}

func (s *Service) apply(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}
