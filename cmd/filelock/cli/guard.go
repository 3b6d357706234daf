package cli

import "github.com/spf13/cobra"

// guardName is the subcommand that run starts beside a command which must not outlive
// it.
const guardName = "guard"

// newGuard is the process that ends a command, and all of its process group, when
// filelock has ended and could not.
func newGuard() *cobra.Command {
	return &cobra.Command{
		Use:    guardName,
		Short:  "A part of run, started by it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exit(standGuard(cmd.InOrStdin()), nil)
		},
	}
}
