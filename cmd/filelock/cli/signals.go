package cli

import (
	"context"
	"os"
	"os/signal"
)

// signals receives those that this process was not told to ignore.
type signals struct{ c chan os.Signal }

// stop gives signals their usual effect again.
func (s *signals) stop() { signal.Stop(s.c) }

// context returns a context that ends with the first signal of those that end a
// process, as a signalError. After stop has returned, signals stay in s.c.
func (s *signals) context() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	over, idle := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(idle)
		for ctx.Err() == nil {
			select {
			case sig := <-s.c:
				if fatal(sig) {
					cancel(signalError{sig})
				}
			case <-over:
				return
			}
		}
	}()
	return ctx, func() {
		close(over)
		<-idle
	}
}

// pending returns the first of those wanted that have come by now, and forgets all
// before it.
func (s *signals) pending(wanted func(os.Signal) bool) (os.Signal, bool) {
	settle()
	for {
		select {
		case sig := <-s.c:
			if wanted(sig) {
				return sig, true
			}
		default:
			return nil, false
		}
	}
}

// settle returns when the signals that have come are in the channels that they are for:
// the Go runtime takes its time, and Stop of any channel waits for that.
func settle() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, harmless)
	signal.Stop(c)
}

// signalError is why a wait, or the command, ended when a signal came. It matches
// context.Canceled, so that an error that wraps it need not name both.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "got " + signalName(e.Signal) }

func (e signalError) Unwrap() error { return context.Canceled }

func (e signalError) number() int { return signalNumber(e.Signal) }
