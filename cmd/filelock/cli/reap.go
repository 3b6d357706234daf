package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/cmd/filelock/internal/live"
	"github.com/filelock-go/filelock/cmd/filelock/internal/overview"
	"github.com/filelock-go/filelock/internal/ticket"
)

const reapLong = `Reap removes the tickets of dead owners from the queue of TARGET, and shows which
and why. Nobody needs to call it: whoever waits does the same. A proof may take a
second. A filesystem that does not answer is given up after eight seconds.

With --force it removes one ticket whose owner is not known to be dead: TICKET is
the ticket's file, as "filelock status --json" has it under path, its name, or that
without what all tickets of TARGET have in common, as logs have it. It says what it
knows and asks first; without a terminal it needs --yes.

It never takes the lock from who holds it. Where the kernel tells who is inside (on
local filesystems of Linux), one who is inside is refused, whatever was said
before, and one who waits loses its place and starts anew. Elsewhere one who is
known to live is refused, and of others nobody knows: if such an owner is inside
after all, removing its ticket lets two in. Make sure first that it is gone.

In etcd (TARGET is a URL, TICKET a key) the dead are removed without reap, when their
lease is over. There --force takes the lock from who holds it: it is told, and
filelock run ends its command, beside which the next one is let in meanwhile.

Exit code:

     0  done; without --force also if there was nothing to do
    64  wrong usage, such as --force without --yes where nobody can be asked
    66  the directory of TARGET does not exist, or there is no such TICKET
    71  the system refused something, or the filesystem or etcd does not answer
    75  the owner of TICKET is inside, or may be: nothing was removed
    76  the answer was not yes: nothing was removed`

// exitDeclined is the exit code of reap --force when the answer was no.
const exitDeclined = 76

// reapFlags are the arguments of "filelock reap".
type reapFlags struct {
	lookFlags
	dryRun, yes bool
	force       string
}

func newReap() *cobra.Command {
	var f reapFlags
	cmd := &cobra.Command{
		Use:                   "reap [flags] TARGET",
		Short:                 "Remove the tickets of the dead",
		Long:                  reapLong,
		DisableFlagsInUseLine: true,
		Args:                  oneTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			forced := cmd.Flags().Changed("force")
			switch {
			case forced && f.force == "":
				return errors.New("--force: which TICKET?")
			case f.yes && !forced:
				return errors.New("--yes is for --force")
			}
			t, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			var s services
			defer s.close()
			name, opts, err := f.locate(cmd.Context(), &s, t)
			switch {
			case err != nil:
				return err
			case forced:
				return f.evict(cmd.Context(), streamsOf(cmd), t, name, opts)
			case t.at != nil:
				fmt.Fprintln(cmd.ErrOrStderr(), "filelock: there is nothing to do: a lock service removes the dead by itself, when their leases have run out")
				return nil
			}
			return f.reap(cmd.Context(), streamsOf(cmd), name, opts)
		},
	}
	set := cmd.Flags()
	set.BoolVar(&f.dryRun, "dry-run", false, "only show what would be removed at once")
	set.StringVar(&f.force, "force", "", "remove `TICKET`, whose owner is not known to be dead")
	set.BoolVar(&f.yes, "yes", false, "do not ask before --force")
	f.define(set)
	return cmd
}

// locate returns what the library is told of a target.
func (f *reapFlags) locate(ctx context.Context, s *services, t target) (name string, opts []filelock.Option, err error) {
	switch {
	case t.at == nil:
		return t.text, f.options(), nil
	case f.queueDir != "":
		return "", nil, errors.New("--queue-dir is for locks that are files")
	}
	opts, err = s.options(ctx, t, 0)
	if err != nil {
		return "", nil, lookFailed(err)
	}
	return t.at.Name, opts, nil
}

func (f *reapFlags) reap(ctx context.Context, std streams, target string, opts []filelock.Option) error {
	var tickets []filelock.Ticket
	var err error
	if f.dryRun {
		tickets, err = dead(ctx, target, opts...)
	} else {
		tickets, err = filelock.Reap(target, opts...)
	}
	if tableErr := table(std.out, tickets...); err == nil {
		return tableErr
	}
	return lookFailed(err)
}

// dead returns the tickets whose owners one look shows to be dead.
func dead(ctx context.Context, target string, opts ...filelock.Option) ([]filelock.Ticket, error) {
	q, err := inspect(ctx, target, opts...)
	return slices.DeleteFunc(q.Tickets, func(t filelock.Ticket) bool { return t.State != filelock.Dead }), err
}

// table writes tickets for people to read, and nothing if there are none.
func table(out io.Writer, tickets ...filelock.Ticket) error {
	if len(tickets) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(out, strings.Join(overview.TableOf(tickets, time.Now()), "\n"))
	return err
}

// evict removes one ticket on the user's word.
func (f *reapFlags) evict(ctx context.Context, std streams, of target, name string, opts []filelock.Option) error {
	look := inspect
	if of.at != nil { // it has its own limit
		look = func(ctx context.Context, name string, opts ...filelock.Option) (filelock.Queue, error) {
			return answered(ctx, of.text, func() (filelock.Queue, error) { return filelock.Inspect(name, opts...) })
		}
	}
	q, err := look(ctx, name, opts...)
	if err != nil {
		return lookFailed(err)
	}
	t, err := find(q, f.force)
	switch {
	case err != nil:
		return exit(exitNoInput, err)
	case t.State == filelock.Inside && of.at == nil:
		return exit(exitBusy, fmt.Errorf("%s is inside, and is never removed: %s", ticket.Quote(f.force), t))
	}
	if f.dryRun {
		fmt.Fprintln(std.err, known(of, t))
		return table(std.out, t)
	}
	if !f.yes {
		if err := ask(std, of, t); err != nil {
			return err
		}
	}
	evicted, err := filelock.Evict(name, t.Path, opts...)
	switch {
	case errors.Is(err, filelock.ErrInside):
		return exit(exitBusy, err)
	case err != nil:
		return lookFailed(err)
	}
	return table(std.out, evicted)
}

// find returns the ticket that is meant: by its path, its name or the part of that in
// which it differs from the others.
func find(q filelock.Queue, meant string) (filelock.Ticket, error) {
	for _, t := range q.Tickets {
		name := filepath.Base(t.Path)
		short := strings.TrimSuffix(strings.TrimPrefix(name, filepath.Base(q.Path)+".lock."), ".pid")
		if meant == t.Path || filepath.Base(meant) == name && sameDir(meant, t.Path) || meant == short {
			return t, nil
		}
	}
	return filelock.Ticket{}, fmt.Errorf("there is no ticket %s in the queue of %s", ticket.Quote(meant), ticket.Quote(q.Path))
}

// sameDir reports whether a path, if it is more than a name, is in the directory of the
// ticket.
func sameDir(meant, ticket string) bool {
	if filepath.Base(meant) == meant {
		return true
	}
	a, err1 := os.Stat(filepath.Dir(meant))
	b, err2 := os.Stat(filepath.Dir(ticket))
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// known says what is known of a ticket that is to be removed, and what comes of that.
func known(of target, t filelock.Ticket) string {
	switch {
	case of.at != nil && t.State == filelock.Inside:
		return "It holds the lock. It is told so and has to end its work, \"filelock run\" its command; the next one is let in at once, beside it, until it has. If it is dead or cut off, its lease ends by itself."
	case of.at != nil:
		return "It waits. Its wait ends with an error."
	case t.Guarded:
		return "The kernel shows that its owner is not inside, and keeps it outside meanwhile. If it lives, it loses its place in the queue and starts anew."
	}
	return "Whether its owner is inside cannot be told here. If it is, removing the ticket lets two in: make sure first, on its host, that the process is gone."
}

// ask asks whether a ticket is to be removed. Its error is nil if the answer is yes.
func ask(std streams, of target, t filelock.Ticket) error {
	in, ok := std.in.(*os.File)
	if !ok || !live.IsTerminal(in) {
		return errors.New("--force asks first: where there is no terminal it needs --yes")
	}
	if err := table(std.err, t); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%s\nRemove it? [yes/no] ", known(of, t))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		fmt.Fprintln(std.err) // no key has ended the line
	}
	if strings.TrimSpace(answer) != "yes" {
		return exit(exitDeclined, errors.New("nothing was removed"))
	}
	return nil
}
