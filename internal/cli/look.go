package cli

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/filelock-go/filelock"
)

const statusUsage = `Usage: filelock status [flags] TARGET

Status shows who holds the lock of TARGET and who waits for it, in order, with
what is known of each and why. It takes no place in the queue, changes nothing
and does not wait.

Flags:

      --json            as JSON: {"path", "tickets": [{"host", "pid", "state", ...}]}
      --queue-dir DIR   where the queue is, if not beside TARGET

The exit code is 0 whether or not the lock is held. If nobody holds it or waits,
nothing is printed.
`

const reapUsage = `Usage: filelock reap [flags] TARGET

Reap removes the tickets of dead owners from the queue of TARGET, and shows them.
Nobody needs to call it: whoever waits does the same. A proof may take a second.
It never takes the lock from who holds it.

Flags:

      --dry-run         only show whose owner is known to be dead at once
      --queue-dir DIR   where the queue is, if not beside TARGET
`

// lookFlags are the arguments of "filelock status" and "filelock reap".
type lookFlags struct {
	target   string
	json     bool
	dryRun   bool
	queueDir string
}

// parseLook reads the arguments of one of the two.
func parseLook(name string, args []string) (*lookFlags, error) {
	var f lookFlags
	set := flag.NewFlagSet("filelock "+name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	set.StringVar(&f.queueDir, "queue-dir", "", "")
	if name == "status" {
		set.BoolVar(&f.json, "json", false, "")
	} else {
		set.BoolVar(&f.dryRun, "dry-run", false, "")
	}
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() != 1 {
		return nil, errors.New("want one TARGET, after the flags")
	}
	f.target = set.Arg(0)
	return &f, nil
}

func (f *lookFlags) options() []filelock.Option {
	if f.queueDir == "" {
		return nil
	}
	return []filelock.Option{filelock.WithQueueDir(f.queueDir)}
}

// lookMain is what status and reap have in common.
func lookMain(name, usage string, args []string, std streams, show func(*lookFlags, io.Writer) error) int {
	f, err := parseLook(name, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(std.out, usage)
		return 0
	case err != nil:
		return complain(std.err, "filelock "+name, err.Error())
	}
	if err := show(f, std.out); err != nil {
		fmt.Fprintln(std.err, strings.ReplaceAll(message(err), " (--create-dirs creates missing directories)", ""))
		return codeOf(err)
	}
	return 0
}

func statusMain(args []string, std streams) int {
	return lookMain("status", statusUsage, args, std, func(f *lookFlags, out io.Writer) error {
		q, err := filelock.Inspect(f.target, f.options()...)
		if err != nil {
			return err
		}
		if f.json {
			enc := json.NewEncoder(out)
			enc.SetIndent("", "  ")
			return enc.Encode(q)
		}
		return table(out, q.Tickets)
	})
}

func reapMain(args []string, std streams) int {
	return lookMain("reap", reapUsage, args, std, func(f *lookFlags, out io.Writer) error {
		if !f.dryRun {
			reaped, err := filelock.Reap(f.target, f.options()...)
			return errors.Join(table(out, reaped), err)
		}
		q, err := filelock.Inspect(f.target, f.options()...)
		if err != nil {
			return err
		}
		var dead []filelock.Ticket
		for _, t := range q.Tickets {
			if t.State == filelock.Dead {
				dead = append(dead, t)
			}
		}
		return table(out, dead)
	})
}

// table writes tickets for people to read, and nothing if there are none.
func table(out io.Writer, tickets []filelock.Ticket) error {
	if len(tickets) == 0 {
		return nil // see the usage
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STATE\tHOST\tPID\tUSER\tQUEUED\tREASON\tCOMMAND")
	for _, t := range tickets {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", t.State, printable(t.Host), t.PID, t.User,
			t.Queued.Format(time.DateTime), printable(t.Reason), printable(t.Command))
	}
	return w.Flush()
}

// printable keeps what others wrote from breaking lines and columns.
func printable(text string) string {
	if quoted := fmt.Sprintf("%q", text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
}
