package cli

import "github.com/spf13/cobra"

// completeRun has a shell complete the operands of run with files: the target, and
// what commands take.
func completeRun(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
