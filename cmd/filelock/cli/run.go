package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock"
)

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: `run [flags] TARGET [--] COMMAND [ARG...]
  filelock run [flags] TARGET -c STRING
  filelock run [flags] -t TARGET -t TARGET... [--] COMMAND [ARG...]`,
		DisableFlagsInUseLine: true,
		Short:                 "Run a command while holding a lock",
		Long:                  runLong,
		Args:                  cobra.ArbitraryArgs,
		ValidArgsFunction:     completeRun,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd.Flags()); err != nil {
				return err
			}
			r := run{flags: &f, std: streamsOf(cmd), signals: notify()}
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
	held    *held
	spared  sync.WaitGroup // for spareThreads
}

// all does it all. It returns an exit code, and an error if there is something
// to say.
func (r *run) all() (code int, err error) {
	if !r.flags.exec {
		r.spared.Go(spareThreads) // it takes as long as to take a free lock
	}
	say := newNarrator(r.std.err, r.flags.verbose, r.flags.quiet)
	r.held, err = take(r.flags.lockFlags, r.signals, say)
	if err != nil {
		return r.notHeld(err)
	}
	return r.work(say)
}

// work runs the command under the locks that were taken.
func (r *run) work(say *narrator) (int, error) {
	tickets, drop, err := r.bequest()
	if err != nil {
		return r.notHeld(errors.Join(err, r.held.release()))
	}
	defer drop()
	env := withVariables(os.Environ(), r.held.variables(tickets))
	if r.flags.exec {
		return r.become(env)
	}
	ending, err := r.command(env, drop, say)
	if err != nil {
		return exitUnavailable, errors.Join(cannotRun(err), r.held.release())
	}
	return r.finish(ending, say)
}

// become makes this process the command. From now on signals have their usual effect:
// one that came before, and would be forgotten, ends this process here.
func (r *run) become(env []string) (int, error) {
	letSignalsEnd()
	r.signals.stop()
	if sig, ok := r.signals.pending(fatal); ok {
		return r.notHeld(errors.Join(signalError{sig}, r.held.release()))
	}
	err := become(r.argv(), env)
	return exitUnavailable, errors.Join(cannotRun(err), r.held.release())
}

func cannotRun(err error) error { return fmt.Errorf("cannot run the command: %w", err) }

// argv is the command line to run.
func (r *run) argv() []string {
	if r.flags.useShell {
		return shellCommand(r.flags.shell)
	}
	return r.flags.command
}

// ending is how a command ended.
type ending struct {
	code   int
	signal os.Signal // that ended it, or nil
	lost   bool      // the lock was, and the command was ended for it
}

// notHeld is the end of a run that did not get so far as to have the lock.
func (r *run) notHeld(err error) (int, error) {
	var got signalError
	if errors.As(err, &got) {
		briefly(func() { r.flags.sayBusy(r.std.err, err) })
		endBySignal(got.Signal)
		return exitSignal + got.number(), nil
	}
	if errors.Is(err, filelock.ErrLocked) || errors.Is(err, filelock.ErrTimeout) {
		if r.flags.quiet {
			err = nil
		}
		return r.flags.busy, err
	}
	return codeOf(err), err
}

// finish gives the lock back after the command. That something went wrong with it
// shows in the exit code unless the command failed by itself.
func (r *run) finish(e ending, say *narrator) (int, error) {
	failed := r.held.leave(r.flags.leavesToHeirs())
	if errors.Is(failed, filelock.ErrLost) {
		failed = fmt.Errorf("%w while the command ran: it may not have been alone", failed)
	}
	say.ended(e, r.held)
	switch {
	case e.lost:
		return exitLost, failed
	case e.signal != nil:
		if failed != nil {
			briefly(func() { fmt.Fprintln(r.std.err, message(failed)) })
		}
		endBySignal(e.signal)
		return exitSignal + signalNumber(e.signal), nil
	case failed != nil && e.code == 0:
		return exitOS, failed
	}
	return e.code, failed
}

// codeOf is the exit code for an error of the library.
func codeOf(err error) int {
	var refused syscall.Errno
	switch {
	case errors.Is(err, errNested), errors.Is(err, filelock.ErrDeadlock):
		return exitNested
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
