package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock"
)

func newStatus() *cobra.Command {
	var f lookFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [flags] TARGET",
		Short: "Show who holds a lock and who waits",
		Long: `Status shows who holds the lock of TARGET and who waits for it, in order, with
what is known of each and why. It takes no place in the queue, changes nothing
and does not wait.

The exit code is 0 whether or not the lock is held. If nobody holds it or waits,
nothing is printed.`,
		DisableFlagsInUseLine: true,
		Args:                  oneTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := filelock.Inspect(args[0], f.options()...)
			if err != nil {
				return lookFailed(err)
			}
			if !asJSON {
				return table(cmd.OutOrStdout(), q.Tickets)
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(q)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, `as JSON: {"path", "tickets": [{"host", "pid", "state", ...}]}`)
	f.define(cmd.Flags())
	return cmd
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
