package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/filelock-go/filelock"
)

const runLong = `Waits for the lock of TARGET, runs the command, and gives the lock back when
the command ends. Those who wait are served first come, first served.

Flags stand before TARGET.

Exit code: that of the command, or 128+N if signal N ended it or the wait. Of
filelock itself:

  64  wrong usage
  66  the directory of TARGET or of the queue does not exist
  69  the command cannot be started
  70  internal error
  71  the system refused something, or the lock was lost while the command ran
  75  the lock was not had (see -E)

A signal (HUP INT QUIT ALRM TERM USR1 USR2) ends a wait, and leaves nothing in
the queue. While the command runs it is passed on to the command, except for an
INT or QUIT from the terminal's keyboard, which the terminal sends to both.

The command inherits an open file that stands for the lock: if filelock itself
is killed, the lock stays taken until the command has ended.`

// runFlags are the arguments of "filelock run".
type runFlags struct {
	target     string
	command    []string
	shell      string
	useShell   bool
	try        bool
	wait       seconds
	waitSet    bool
	busy       int
	verbose    bool
	createDirs bool
	queueDir   string
}

// define makes the flags of "filelock run". None is read behind TARGET.
func (f *runFlags) define(set *pflag.FlagSet) {
	set.SetInterspersed(false)
	set.SortFlags = false
	set.SetNormalizeFunc(flockNames)
	set.BoolVarP(&f.try, "nonblock", "n", false, "fail at once if the lock is busy")
	set.VarP(&f.wait, "wait", "w", "wait no longer than `TIME`: seconds (5, 0.5) or 1m30s, 200ms")
	set.IntVarP(&f.busy, "conflict-exit-code", "E", exitBusy, "exit `CODE` when the lock was not had: busy, or too long a wait")
	set.StringVarP(&f.shell, "command", "c", "", "run `STRING` with the shell")
	set.BoolVarP(&f.verbose, "verbose", "v", false, "tell on standard error who holds the lock while waiting, when it was got and when it was given back")
	set.BoolVar(&f.createDirs, "create-dirs", false, "create missing directories")
	set.StringVar(&f.queueDir, "queue-dir", "", "keep the queue's files in `DIR` rather than beside TARGET; all who use the lock must agree on this")
}

// flockNames are the long names that flock(1) has besides ours.
func flockNames(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "timeout":
		name = "wait"
	case "nb":
		name = "nonblock"
	}
	return pflag.NormalizedName(name)
}

// complete takes what the flags leave open: which were given, and the operands.
func (f *runFlags) complete(set *pflag.FlagSet) error {
	f.useShell, f.waitSet = set.Changed("command"), set.Changed("wait")
	if set.Changed("queue-dir") && f.queueDir == "" {
		return errors.New("--queue-dir: the directory's name is empty")
	}
	return f.operands(set.Args())
}

// operands takes what follows the flags: the target and the command.
func (f *runFlags) operands(rest []string) error {
	if f.busy < 0 || f.busy > 255 {
		return fmt.Errorf("-E %d: an exit code is 0 to 255", f.busy)
	}
	if f.try && f.waitSet {
		return errors.New("-n and -w exclude each other")
	}
	if len(rest) == 0 {
		return errors.New("which TARGET?")
	}
	f.target, rest = rest[0], rest[1:]
	literal := len(rest) > 0 && rest[0] == "--"
	if literal {
		rest = rest[1:]
	}
	// flock(1) has its -c after the file, and so do the scripts written for it.
	if !literal && !f.useShell && len(rest) > 0 && (rest[0] == "-c" || rest[0] == "--command") {
		if len(rest) != 2 {
			return fmt.Errorf("%s: want one STRING after it", rest[0])
		}
		f.useShell, f.shell, rest = true, rest[1], nil
	}
	switch {
	case f.useShell && len(rest) > 0:
		return errors.New("-c STRING and COMMAND exclude each other")
	case f.useShell:
		return nil
	case len(rest) == 0:
		return errors.New("which COMMAND?")
	case !literal && strings.HasPrefix(rest[0], "-"):
		return fmt.Errorf("%s: flags stand before TARGET (a COMMAND that begins with a dash needs -- before it)", rest[0])
	}
	f.command = rest
	return nil
}

func (f *runFlags) options() []filelock.Option {
	var opts []filelock.Option
	if f.createDirs {
		opts = append(opts, filelock.WithCreateDirs())
	}
	if f.queueDir != "" {
		opts = append(opts, filelock.WithQueueDir(f.queueDir))
	}
	if f.wait > 0 {
		opts = append(opts, filelock.WithTimeout(time.Duration(f.wait)))
	}
	return opts
}

// seconds is a flag: a number of seconds, or what time.ParseDuration reads.
type seconds time.Duration

func (s *seconds) Type() string { return "time" }

func (s *seconds) String() string { return time.Duration(*s).String() }

func (s *seconds) Set(text string) error {
	d, err := parseSeconds(text)
	*s = seconds(d)
	return err
}

var errSeconds = errors.New("want seconds or a duration, such as 5, 0.5 or 1m30s, not below zero")

func parseSeconds(text string) (time.Duration, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return 0, errSeconds
		}
		return d, nil
	}
	if !(n >= 0) { // not a number, too
		return 0, errSeconds
	}
	d := n * float64(time.Second)
	if d >= math.MaxInt64 {
		return math.MaxInt64, nil // 292 years
	}
	// The shortest wait is still a wait: none at all is 0.
	return time.Duration(math.Ceil(d)), nil
}
