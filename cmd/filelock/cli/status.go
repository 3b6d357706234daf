package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/cmd/filelock/internal/live"
	"github.com/filelock-go/filelock/cmd/filelock/internal/overview"
)

// exitHeld is the exit code of status for a lock that is not free.
const exitHeld = 1

const statusLong = `Status shows who holds the lock of each TARGET and who waits for it, in order, with
what is known of each and why. It takes no place in the queue, changes nothing
and does not wait. A TARGET that is a directory stands for all locks in it; if there
are none, nothing is shown. A TARGET in etcd is a URL, as for run.

Without a TARGET it shows all locks that processes of this machine take part in,
as far as this user may look at them, and which of these processes wait for each
other in a circle (Linux).

The phases: inside (holds the lock), heir (the owner is gone, and a process that
inherited the lock from it holds it), waiting, stopped (outside, and not running),
resting (has given the lock back and keeps its ticket; in nobody's way), gone
(dead), and first (nobody is ahead of it, and this filesystem does not tell whether
it is inside already). The verdict is what the lock makes of the ticket: dead and
stalled ones are passed by, unknown ones block.

Exit code:

     0  all the locks are free: nobody holds one or is in line for it
     1  at least one is not
    64  wrong usage
    66  the directory of a TARGET does not exist
    71  the system refused something, or a filesystem or etcd does not answer

JSON: one object, whose fields stay as they are; others may be added.

    version   1
    held      whether any lock is not free
    queues    one for each lock:
      path, held, error and note (if there is something to say), and
      tickets, in order:
        position  from 1 on
        phase     as above
        kind      exclusive or shared
        host, pid of who queued; the pid is of the pid namespace it lives in
        user, command, label, stopped, process (pid, parent, started, status,
                  terminal, dir): what can be seen of the owner, or of the heir
        queued    since when
        verdict, reason
        guarded   whether the kernel tells who is inside, and keeps its ticket from
                  being removed
        lease, plain  if it has one, or is of a program that follows the plain rule
        path      of the ticket's file, or its key in etcd
    cycles    in words, of processes that wait for each other`

// statusFlags are the arguments of "filelock status".
type statusFlags struct {
	lookFlags
	json, quiet, watch bool
	interval           time.Duration
}

func newStatus() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:                   "status [flags] [TARGET...]",
		Short:                 "Show who holds locks and who waits",
		Long:                  statusLong,
		DisableFlagsInUseLine: true,
		RunE:                  func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	set := cmd.Flags()
	set.BoolVar(&f.json, "json", false, "as JSON, see above")
	set.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing: the exit code tells")
	set.BoolVar(&f.watch, "watch", false, "show it live, at a terminal; q ends it")
	set.DurationVar(&f.interval, "interval", 500*time.Millisecond, "how often --watch looks")
	f.define(set)
	return cmd
}

func (f *statusFlags) run(cmd *cobra.Command, targets []string) error {
	switch {
	case f.json && f.quiet || f.watch && (f.json || f.quiet):
		return errors.New("--json, --quiet and --watch exclude each other")
	case f.interval <= 0:
		return errors.New("--interval: want more than zero")
	case len(targets) == 0 && f.queueDir != "":
		return errors.New("--queue-dir: which TARGET's queue in it? (Give the directory itself as TARGET for all)")
	}
	named, err := parseTargets(targets)
	if err != nil {
		return err
	}
	var s services
	defer s.close()
	look := func(ctx context.Context) overview.Overview {
		if len(targets) == 0 {
			return overview.OfMachine(ctx)
		}
		o := overview.New()
		for _, t := range named {
			if t.at == nil {
				o.Add(ctx, t.text, f.options()...)
			} else {
				o.AddFound(ctx, t.text, func() (filelock.Queue, error) { return s.inspect(ctx, t) })
			}
		}
		return o
	}
	if f.watch {
		return watch(cmd, look, f.interval)
	}
	o := look(cmd.Context())
	if err := f.print(cmd.OutOrStdout(), o); err != nil {
		return exit(exitOS, err)
	}
	return statusExit(cmd.ErrOrStderr(), o)
}

func (f *statusFlags) print(out io.Writer, o overview.Overview) error {
	switch {
	case f.quiet:
		return nil
	case f.json:
		return writeJSON(out, o)
	}
	shown := o
	shown.Queues = nil
	for _, q := range o.Queues {
		if q.Err == nil { // told on standard error
			shown.Queues = append(shown.Queues, q)
		}
	}
	for _, line := range shown.Lines(time.Now()) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// statusExit tells what went wrong, and returns what to end with.
func statusExit(errs io.Writer, o overview.Overview) error {
	var first error
	for _, q := range o.Queues {
		switch {
		case q.Err == nil:
		case first == nil:
			first = q.Err
		default:
			fmt.Fprintln(errs, message(withoutOption(q.Err)))
		}
	}
	switch {
	case first != nil:
		return lookFailed(first)
	case o.Held:
		return exit(exitHeld, nil)
	}
	return nil
}

// watch shows the overview live.
func watch(cmd *cobra.Command, look func(context.Context) overview.Overview, interval time.Duration) error {
	in, ok1 := cmd.InOrStdin().(*os.File)
	out, ok2 := cmd.OutOrStdout().(*os.File)
	if !ok1 || !ok2 || !live.IsTerminal(in) || !live.IsTerminal(out) {
		return errors.New("--watch needs a terminal")
	}
	ctx, stop := ended(cmd.Context())
	defer stop()
	if err := live.Watch(ctx, in, out, look, interval); err != nil {
		var got endedBy
		if errors.As(context.Cause(ctx), &got) {
			return exit(exitSignal+got.number(), nil)
		}
		return exit(exitOS, err)
	}
	return nil
}
