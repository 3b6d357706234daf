package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/filelock-go/filelock"
)

// lockFlags are the flags that say which locks are taken, and how. "run" and "hold"
// have them in common.
type lockFlags struct {
	targets    []string
	named      []target // what the targets are, see locate
	shared     bool
	exclusive  bool
	try        bool
	wait       seconds
	waitSet    bool
	busy       int
	verbose    bool
	quiet      bool
	createDirs bool
	queueDir   string
	mode       fileMode
	lease      seconds
	label      string
	fencing    bool
	killOnLoss bool
}

func (f *lockFlags) define(set *pflag.FlagSet) {
	set.SortFlags = false
	set.SetNormalizeFunc(flockNames)
	set.StringArrayVarP(&f.targets, "target", "t", nil, "take the lock of `TARGET`; several of them are taken all or none, and then there is no operand TARGET")
	set.BoolVarP(&f.shared, "shared", "s", false, "hold the lock together with others who share it, and with nobody else")
	set.BoolVarP(&f.exclusive, "exclusive", "x", false, "hold the lock alone, as by default")
	set.BoolVarP(&f.exclusive, "ex", "e", false, "") // as flock(1) has it
	_ = set.MarkHidden("ex")
	set.BoolVarP(&f.try, "nonblock", "n", false, "fail at once if the lock is busy")
	set.VarP(&f.wait, "wait", "w", "wait no longer than `TIME`: seconds (5, 0.5) or 1m30s, 200ms")
	set.IntVarP(&f.busy, "conflict-exit-code", "E", exitBusy, "exit `CODE` when the lock was not had: busy, or too long a wait")
	set.BoolVarP(&f.verbose, "verbose", "v", false, "say on standard error who holds the lock while waiting, and what happens")
	set.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing of a busy lock and of waiting; errors are said")
	set.StringVar(&f.label, "label", "", "what others are told of the holder: at most 64 bytes of `TEXT`")
	set.Var(&f.lease, "lease", "have the lock expire `TIME` after the last sign of life, of which one is given three times in it; whole seconds")
	set.BoolVar(&f.killOnLoss, "kill-on-loss", false, "end the command and its process group, or the script, if the lease is lost: TERM, and to a command KILL after 5 seconds; needs --lease")
	set.BoolVar(&f.fencing, "fencing", false, "take a fencing token, FILELOCK_TOKEN in the environment: a number that grows with every holder, for what is protected to check")
	set.StringVar(&f.queueDir, "queue-dir", "", "keep the queue's files in `DIR` rather than beside TARGET; all who use the lock must agree on this")
	_ = cobra.MarkFlagDirname(set, "queue-dir")
	set.BoolVar(&f.createDirs, "create-dirs", false, "create missing directories")
	set.Var(&f.mode, "mode", "permission of the queue's files, in `OCTAL`; 600 hides from other users whether the holder lives (default 644)")
}

// flockNames are the long names that flock(1) has besides ours.
func flockNames(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	switch name {
	case "timeout":
		name = "wait"
	case "nb":
		name = "nonblock"
	case "no-fork":
		name = "exec"
	}
	return pflag.NormalizedName(name)
}

// complete checks what the flags say, once they are read.
func (f *lockFlags) complete(set *pflag.FlagSet) error {
	f.waitSet = set.Changed("wait")
	switch {
	case f.busy < 0 || f.busy > 255:
		return fmt.Errorf("-E %d: an exit code is 0 to 255", f.busy)
	case f.shared && f.exclusive:
		return errors.New("-s and -x exclude each other")
	case f.try && f.waitSet:
		return errors.New("-n and -w exclude each other")
	case f.quiet && f.verbose:
		return errors.New("-q and -v exclude each other")
	case set.Changed("lease") && f.lease == 0:
		return errors.New("--lease 0: want whole seconds, at least one")
	case set.Changed("queue-dir") && f.queueDir == "":
		return errors.New("--queue-dir: the directory's name is empty")
	}
	return nil
}

// locate finds out what the targets are, once all are known.
func (f *lockFlags) locate() (err error) {
	if f.named, err = parseTargets(f.targets); err != nil {
		return err
	}
	if f.killOnLoss && f.lease == 0 && !inService(f.named) {
		return errors.New("--kill-on-loss needs --lease: without, nothing watches the lock while it is held")
	}
	files := slices.ContainsFunc(f.named, func(t target) bool { return t.at == nil })
	if flag := f.forFiles(); flag != "" && !files {
		return fmt.Errorf("%s is for locks that are files", flag)
	}
	return nil
}

// forFiles is a flag that was given and means nothing to a lock service, or "".
func (f *lockFlags) forFiles() string {
	switch {
	case f.queueDir != "":
		return "--queue-dir"
	case f.createDirs:
		return "--create-dirs"
	case f.mode != 0:
		return "--mode"
	}
	return ""
}

// options are those for any target.
func (f *lockFlags) options() []filelock.Option {
	var opts []filelock.Option
	if f.wait > 0 {
		opts = append(opts, filelock.WithTimeout(time.Duration(f.wait)))
	}
	if f.label != "" {
		opts = append(opts, filelock.WithLabel(f.label))
	}
	return opts
}

// fileOptions are those for paths.
func (f *lockFlags) fileOptions() []filelock.Option {
	var opts []filelock.Option
	if f.createDirs {
		opts = append(opts, filelock.WithCreateDirs())
	}
	if f.queueDir != "" {
		opts = append(opts, filelock.WithQueueDir(f.queueDir))
	}
	if f.lease > 0 {
		opts = append(opts, filelock.WithLease(time.Duration(f.lease)))
	}
	if f.fencing {
		opts = append(opts, filelock.WithFencing())
	}
	if f.mode != 0 {
		opts = append(opts, filelock.WithFileMode(fs.FileMode(f.mode)))
	}
	return opts
}

// trying reports whether the lock is not to be waited for.
func (f *lockFlags) trying() bool { return f.try || f.waitSet && f.wait == 0 }

// sayBusy says why a wait ended, unless nothing is to be said of that.
func (f *lockFlags) sayBusy(w io.Writer, err error) {
	if !f.quiet {
		fmt.Fprintln(w, message(err))
	}
}

// fileMode is a flag: permission bits, in octal.
type fileMode fs.FileMode

func (m *fileMode) Type() string { return "octal" }

func (m *fileMode) String() string {
	if *m == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*m), 8)
}

func (m *fileMode) Set(text string) error {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 || n&0o600 != 0o600 {
		return errors.New("want permission bits in octal, among them 600")
	}
	*m = fileMode(n)
	return nil
}
