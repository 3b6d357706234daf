package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// completeRun has a shell complete the operands of run: the target and the command's
// arguments with files, and the command with programs, or files if it has a slash.
func completeRun(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	before := 1
	if cmd.Flags().Changed("target") {
		before = 0
	}
	if len(args) != before || strings.ContainsRune(prefix, filepath.Separator) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return programs(prefix), cobra.ShellCompDirectiveDefault
}

// programs are the names in PATH that begin with prefix.
func programs(prefix string) (names []string) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), prefix) && !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
