package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/filelock-go/filelock"
)

// lookFlags are the flags that the subcommands have in common which look at a
// queue and take no place in it.
type lookFlags struct{ queueDir string }

func (f *lookFlags) define(set *pflag.FlagSet) {
	set.StringVar(&f.queueDir, "queue-dir", "", "the queue is in `DIR`, not beside TARGET")
}

func (f *lookFlags) options() []filelock.Option {
	if f.queueDir == "" {
		return nil
	}
	return []filelock.Option{filelock.WithQueueDir(f.queueDir)}
}

func oneTarget(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("want one TARGET")
	}
	return nil
}

// lookFailed is the end of a subcommand whose look failed.
func lookFailed(err error) error { return exit(codeOf(err), withoutOption(err)) }

// withoutOption is an error without the hint at an option for which there is no flag here.
func withoutOption(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), " (WithCreateDirs creates missing directories)", ""))
}
