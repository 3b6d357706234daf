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

// pending returns a signal that ends a process and has come by now, as far as the Go
// runtime has told of it: of all that came before stop it has after that.
func (s *signals) pending() (os.Signal, bool) {
	for {
		select {
		case sig := <-s.c:
			if fatal(sig) {
				return sig, true
			}
		default:
			return nil, false
		}
	}
}

// signalError is why a wait, or the command, ended when a signal came. It matches
// context.Canceled, so that an error that wraps it need not name both.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "got " + signalName(e.Signal) }

func (e signalError) Unwrap() error { return context.Canceled }

func (e signalError) number() int { return signalNumber(e.Signal) }
