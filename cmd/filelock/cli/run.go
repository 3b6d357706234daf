package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/filelock-go/filelock"
)

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:                   "run [flags] TARGET [--] COMMAND [ARG...]\n  filelock run [flags] TARGET -c STRING",
		DisableFlagsInUseLine: true,
		Short:                 "Run a command while holding a lock",
		Long:                  runLong,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd.Flags()); err != nil {
				return err
			}
			r := run{flags: &f, std: streamsOf(cmd), signals: notify(), log: zap.NewNop()}
			defer r.signals.stop()
			return exit(r.all())
		},
	}
	f.define(cmd.Flags())
	return cmd
}

// run is one "filelock run".
type run struct {
	flags   *runFlags
	std     streams
	signals *signals
	log     *zap.Logger
	lock    *filelock.FileLock
}

// all does it all. It returns an exit code, and an error if there is something
// to say.
func (r *run) all() (code int, err error) {
	opts := r.flags.options()
	if r.flags.verbose {
		r.log = newLogger(r.std.err)
		opts = append(opts, filelock.WithLogger(announcing(r.log, r.flags.target, opts)))
	}
	ctx, stop := r.signals.context()
	if r.lock, err = r.open(ctx, opts); err == nil {
		err = r.acquire(ctx)
	}
	stop()
	if cause := context.Cause(ctx); err == nil && cause != nil {
		// The signal came too late to end the wait. Nothing has begun yet, so
		// let it end the command all the same.
		err = errors.Join(cause, r.lock.Unlock())
	}
	if err != nil {
		return r.notAcquired(err), err
	}
	code, err = r.command()
	return r.release(code, err)
}

// tryLimit is how long -n waits for a filesystem that does not answer.
const tryLimit = 8 * time.Second

// open makes the lock, unless a signal comes first or the time is over: to find
// the target takes calls that a dead server does not answer.
func (r *run) open(ctx context.Context, opts []filelock.Option) (*filelock.FileLock, error) {
	wait := time.Duration(r.flags.wait)
	if r.flags.try || r.flags.waitSet && wait == 0 {
		wait = tryLimit
	}
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, wait, filelock.ErrTimeout)
		defer cancel()
	}
	type result struct {
		lock *filelock.FileLock
		err  error
	}
	made := make(chan result, 1)
	go func() {
		l, err := filelock.New(r.flags.target, opts...)
		made <- result{l, err}
	}()
	select {
	case m := <-made:
		return m.lock, m.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w: %w", r.flags.target, filelock.ErrUnanswered, context.Cause(ctx))
	}
}

// acquire takes the lock, unless a signal comes first.
func (r *run) acquire(ctx context.Context) error {
	if r.flags.try || r.flags.waitSet && r.flags.wait == 0 {
		return r.lock.TryAcquire(ctx)
	}
	return r.lock.Acquire(ctx)
}

func (r *run) notAcquired(err error) int {
	var got signalError
	switch {
	case errors.As(err, &got):
		return exitSignal + got.number()
	case errors.Is(err, filelock.ErrLocked), errors.Is(err, filelock.ErrTimeout):
		return r.flags.busy
	}
	return codeOf(err)
}

// release gives the lock back after the command. That something went wrong
// with it shows in the exit code unless the command failed by itself.
func (r *run) release(code int, err error) (int, error) {
	failed := r.lock.Unlock()
	if errors.Is(failed, filelock.ErrLost) {
		failed = fmt.Errorf("%w while the command ran: it may not have been alone", failed)
	}
	if failed != nil && code == 0 {
		code = exitOS
	}
	return code, errors.Join(err, failed)
}

// codeOf is the exit code for an error of the library.
func codeOf(err error) int {
	var refused syscall.Errno
	switch {
	case errors.Is(err, filelock.ErrInvalid):
		return exitUsage
	case errors.Is(err, filelock.ErrUnanswered):
		return exitOS
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return exitNoInput
	case errors.As(err, &refused), errors.Is(err, filelock.ErrLost), errors.Is(err, errors.ErrUnsupported):
		return exitOS
	default:
		return exitInternal
	}
}
