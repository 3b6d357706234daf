package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/filelock-go/filelock/internal/ticket"
)

const holdLong = `Hold takes a lock for the commands of a shell script that follow:

    lock=$(filelock hold /data/db) || exit
    eval "$lock"
    trap 'filelock release' EXIT
    ...

It waits as run does, and prints what the script evaluates: the variables by which
"filelock release" and other commands know of the lock. It leaves a process that holds
the lock until "filelock release" ends it, or the script has ended, however: also by KILL.
That process has none of the script's files open.

Without the lock it fails with the exit code below, and prints what makes an eval fail
with that, too. (Not so if there is no filelock, or it was killed: then a script with
eval "$(filelock hold ...)" || exit would go on. The form above does not.)

The script is the shell that reads what filelock prints, as above, or else the one that
calls it, also from a subshell of it; --pid names another process. The trap gives the
lock back at once where that shell does not end with the work: if the work is a subshell
or a function of it. Whoever gives it back earlier does without the trap: a second
release fails.

The lock ends with the script, not with the script's children. What runs in the
background has to be waited for, and what a killed script leaves running is not
protected any more: run such work with "filelock run". That is also what to do where the
lock is in etcd.

Exit code: as that of run, if the lock is not had.`

func newHold() *cobra.Command {
	f := holdFlags{lockFlags: new(lockFlags)}
	cmd := &cobra.Command{
		Use:                   "hold [flags] TARGET...",
		DisableFlagsInUseLine: true,
		Short:                 "Hold a lock for several commands of a script",
		Long:                  holdLong,
		Args:                  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := f.complete(cmd, args)
			if err == nil {
				err = hold(&f, streamsOf(cmd))
			}
			return failEval(cmd, err)
		},
	}
	cmd.SetFlagErrorFunc(failEval)
	f.define(cmd)
	return cmd
}

// failEval returns err. Before that, it prints what makes the script's eval fail as this
// command is about to: an eval of nothing succeeds, and the script would go on without
// the lock.
func failEval(cmd *cobra.Command, err error) error {
	var failed *exitError
	switch {
	case err == nil:
	case errors.As(err, &failed):
		printFailure(cmd.OutOrStdout(), failed.code)
	default:
		printFailure(cmd.OutOrStdout(), exitUsage)
	}
	return err
}

func printFailure(out io.Writer, code int) { fmt.Fprintf(out, "(exit %d)\n", code) }

// newHolder is the process that hold leaves.
func newHolder() *cobra.Command {
	f := holdFlags{lockFlags: new(lockFlags)}
	cmd := &cobra.Command{
		Use:    "holder",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.complete(cmd, args); err != nil {
				return err
			}
			return exit(keep(&f, streamsOf(cmd)))
		},
	}
	f.define(cmd)
	return cmd
}

// holdFlags are the arguments of "filelock hold".
type holdFlags struct {
	*lockFlags
	pid   int
	given *pflag.FlagSet
}

func (f *holdFlags) define(cmd *cobra.Command) {
	f.lockFlags.define(cmd.Flags())
	cmd.Flags().IntVar(&f.pid, "pid", 0, "hold it until the process `PID` ends; by default the script's shell")
}

func (f *holdFlags) complete(cmd *cobra.Command, args []string) error {
	if err := f.lockFlags.complete(cmd.Flags()); err != nil {
		return err
	}
	switch {
	case len(args)+len(f.targets) == 0:
		return errors.New("which TARGET?")
	case len(args) > 0 && len(f.targets) > 0:
		return errors.New("name the TARGETs with -t or without, not both")
	case f.busy == 0:
		return errors.New("-E 0: a script could not tell that it has not got the lock")
	case cmd.Flags().Changed("pid") && f.pid <= 0:
		return fmt.Errorf("--pid %d: want a process", f.pid)
	}
	f.targets, f.given = append(f.targets, args...), cmd.Flags()
	if err := f.locate(); err != nil {
		return err
	}
	if inService(f.named) {
		return errNoHold
	}
	return nil
}

// errNoHold is of hold and release for a lock in a lock service, which may be lost at any
// time.
var errNoHold = errors.New(`hold is for files: when a lock of a lock service is lost, somebody has to end what runs under it, so run the script under "filelock run"`)

// holding is what a holder tells of itself when it has the lock.
type holding struct {
	Holder    holder
	Variables map[string][]byte // paths need not be text
}

// script is what the script is to evaluate.
func (h holding) script() string {
	all := []string{h.Holder.String()}
	for _, line := range lines(os.Getenv(envHolder)) {
		if !isOver(line) {
			all = append(all, line)
		}
	}
	h.Variables[envHolder] = []byte(strings.Join(all, "\n"))
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h.Variables)) {
		if value := string(h.Variables[name]); value != "" {
			fmt.Fprintf(&b, "%s=%s; export %s\n", name, shellQuote(value), name)
		} else {
			fmt.Fprintf(&b, "unset %s\n", name)
		}
	}
	return b.String()
}

// isOver reports whether a line of envHolder is of a holder that has ended. The next hold
// leaves it out: nobody can take it out of a script's environment before, and in a loop
// that would grow until no command can be started with it.
func isOver(line string) bool {
	h, err := parseHolder(line)
	return err == nil && !h.lives()
}

// heldStill are the tickets around this process without those of holders that have ended.
// A holder has no heirs.
func heldStill() []string {
	over := map[holder]bool{}
	for _, line := range lines(os.Getenv(envHolder)) {
		if h, err := parseHolder(line); err == nil {
			over[h] = !h.lives()
		}
	}
	return slices.DeleteFunc(heldAround(), func(path string) bool {
		_, name, ok := ticket.Split(filepath.Base(path))
		return !ok || over[holder{name.PID, name.Start}]
	})
}

// shellQuote makes one word of a shell of text.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// lines are the lines of text, without empty ones.
func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// holder is a process that holds a lock for a script. Its pid may be another's one day,
// but not with the same start.
type holder struct {
	PID   int
	Start uint64
}

func (h holder) String() string { return fmt.Sprintf("%d:%x", h.PID, h.Start) }

func parseHolder(text string) (h holder, err error) {
	pid, start, ok := strings.Cut(text, ":")
	h.PID, err = strconv.Atoi(pid)
	if err == nil {
		h.Start, err = strconv.ParseUint(start, 16, 64)
	}
	if !ok || err != nil || h.PID <= 0 {
		return h, fmt.Errorf("%s: %q is no holder", envHolder, text)
	}
	return h, nil
}
