package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock"
)

func newReap() *cobra.Command {
	var f lookFlags
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "reap [flags] TARGET",
		Short: "Remove the tickets of the dead",
		Long: `Reap removes the tickets of dead owners from the queue of TARGET, and shows them.
Nobody needs to call it: whoever waits does the same. A proof may take a second.
It never takes the lock from who holds it.`,
		DisableFlagsInUseLine: true,
		Args:                  oneTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			look := filelock.Reap
			if dryRun {
				look = dead
			}
			tickets, err := look(args[0], f.options()...)
			if tableErr := table(cmd.OutOrStdout(), tickets); err == nil {
				return tableErr
			}
			return lookFailed(err)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show whose owner is known to be dead at once")
	f.define(cmd.Flags())
	return cmd
}

// dead returns the tickets whose owners one look shows to be dead.
func dead(target string, opts ...filelock.Option) ([]filelock.Ticket, error) {
	q, err := filelock.Inspect(target, opts...)
	return slices.DeleteFunc(q.Tickets, func(t filelock.Ticket) bool { return t.State != filelock.Dead }), err
}
