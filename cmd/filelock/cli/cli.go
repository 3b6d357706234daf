// Package cli is the filelock command. Its main package only calls Main; New is for
// what is generated from its texts.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes of the command's own, as sysexits(3) has them. They leave out
// those that a shell uses for its commands: 1 to 63, 126 and 127, 128+N.
const (
	exitUsage       = 64
	exitNested      = 65 // a run of the same target is around this one
	exitNoInput     = 66 // the directory is missing
	exitLost        = 68 // the lock was lost, and the command ended for it
	exitUnavailable = 69 // the command cannot be started
	exitInternal    = 70
	exitOS          = 71 // the filesystem or the system refused
	exitBusy        = 75 // EX_TEMPFAIL, as lockf(1) has it
	exitSignal      = 128
)

// streams are the standard streams, handed on to the commands that are run.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func streamsOf(cmd *cobra.Command) streams {
	return streams{cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()}
}

// exitError is what a subcommand returns to end with an exit code other than 0.
// Any other error of a subcommand is one of usage.
type exitError struct {
	code int
	err  error // to be told, or nil
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit makes an exitError, or nil for success.
func exit(code int, err error) error {
	if code == 0 && err == nil {
		return nil
	}
	return &exitError{code: code, err: err}
}

// Main runs the command with args, which do not include its name, and returns
// its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := New()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	var failed *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		if failed.err != nil {
			fmt.Fprintln(stderr, message(failed.err))
		}
		return failed.code
	default:
		fmt.Fprintf(stderr, "%s: %v\nTry \"%s -h\".\n", cmd.CommandPath(), err, cmd.CommandPath())
		return exitUsage
	}
}

// New returns the command, with all its subcommands.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "filelock",
		Short: "Processes take turns on a path, first come first served",
		Long: `filelock lets processes take turns on a path, first come first served.

The target need not exist and is never touched. The lock is a queue of files
beside it, TARGET.lock.HOST.PID.TOKEN.pid, one for each process that holds the
lock or waits for it.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprint(cmd.ErrOrStderr(), cmd.UsageString())
			return exit(exitUsage, nil)
		},
	}
	root.SetVersionTemplate("filelock {{.Version}}\n")
	root.AddCommand(
		newRun(), newHold(), newHolder(), newRelease(), newStatus(), newReap(), newVerify(), newBench(), newVersion(), newWorker(),
	)
	return root
}

// flagsOfOptions puts the command's flags in place of the library's options, where a
// message names one that helps.
var flagsOfOptions = strings.NewReplacer("WithCreateDirs", "--create-dirs", "WithQueueDir", "--queue-dir")

// message is err's text with the command's name in front, once, and with the
// command's flags in place of the library's options.
func message(err error) string {
	text := flagsOfOptions.Replace(err.Error())
	if strings.HasPrefix(text, "filelock") {
		return text
	}
	return "filelock: " + text
}
