package cli

import (
	"context"
	"os"
	"os/signal"
)

// signals receives those of forwarded that this process was not told to ignore.
type signals struct{ c chan os.Signal }

func notify() *signals {
	s := &signals{c: make(chan os.Signal, 16)}
	for _, sig := range forwarded {
		// What nohup(1), or a shell for its background jobs, has set to be
		// ignored stays so, for us and for the command.
		if !signal.Ignored(sig) {
			signal.Notify(s.c, sig)
		}
	}
	return s
}

func (s *signals) stop() { signal.Stop(s.c) }

// context returns a context that ends with the first signal, as a signalError.
// After stop has returned, signals stay in s.c.
func (s *signals) context() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	over, idle := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(idle)
		select {
		case sig := <-s.c:
			cancel(signalError{sig})
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		<-idle
	}
}

// signalError is why a wait ended when a signal came. It matches
// context.Canceled, so that an error that wraps it need not name both.
type signalError struct{ os.Signal }

func (e signalError) Error() string { return "got " + signalName(e.Signal) }

func (e signalError) Unwrap() error { return context.Canceled }

func (e signalError) number() int { return signalNumber(e.Signal) }
