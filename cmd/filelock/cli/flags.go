package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const runLong = `Run waits for the lock of TARGET, runs the command, and gives the lock back when the
command, and all of its descendants that have the lock's file open, have ended. Those
who wait are served first come, first served. Flags stand before TARGET.

Exit code: that of the command. If a signal ended the command, or the wait, filelock
ends by that signal. Of filelock itself:

    64  wrong usage
    65  this command runs under that lock already, and would wait for itself
    66  the directory of TARGET or of the queue does not exist
    68  the lock was lost, and the command was ended for it (--kill-on-loss, etcd)
    69  the command cannot be started
    70  internal error
    71  the system, or etcd, refused something or does not answer, or the lock was lost
        while the command ran
    75  the lock was not had: busy, or too long a wait (see -E)

A signal that ends processes ends a wait, and leaves nothing in the queue. While the
command runs, signals are passed on to it, each once: HUP, INT, QUIT and TERM to its
process group, the others to the command alone. It has a process group of its own, the
terminal if filelock has it, and starts with the signals ignored that filelock was
started with. What the terminal's keys do to the command they do to filelock.

The command inherits an open file that stands for the lock. Whoever has that open holds
the lock: what the command leaves running, and the command itself if filelock is killed.
A daemon that closes its files gives it up; so does -o for all but the command.

The command finds in its environment:

    FILELOCK_TARGET  the path of TARGET
    FILELOCK_TICKET  the path of the lock's file
    FILELOCK_TOKEN   with --fencing: a number that grows with every holder
    FILELOCK_HELD    the files of all locks that are held around it

With several targets these have several lines. While filelock waits, it says on a
terminal for whom, and nothing elsewhere.

TARGET may be a name in etcd, etcd://HOST:PORT,.../NAME or, with TLS, etcds://, if this
filelock has etcd in it. Such a lock has a lease (?lease=30s, 15 s by default), ends with
the command, and the command with it: as with --kill-on-loss, and before the lease ends.
The variables ETCDCTL_ENDPOINTS, ETCDCTL_USER, ETCDCTL_PASSWORD, ETCDCTL_CACERT,
ETCDCTL_CERT and ETCDCTL_KEY mean what they mean to etcdctl. FILELOCK_TOKEN is always
there.`

// runFlags are the arguments of "filelock run".
type runFlags struct {
	*lockFlags
	command  []string
	shell    string
	useShell bool
	close    bool
	exec     bool
	init     bool
}

// define makes the flags of "filelock run". None is read behind TARGET.
func (f *runFlags) define(set *pflag.FlagSet) {
	f.lockFlags = new(lockFlags)
	f.lockFlags.define(set)
	set.SetInterspersed(false)
	set.StringVarP(&f.shell, "command", "c", "", "run `STRING` with the shell: $SHELL, or else /bin/sh")
	set.BoolVarP(&f.close, "close", "o", false, "give the lock back when the command itself ends, whatever it leaves running")
	set.BoolVarP(&f.exec, "exec", "F", false, "become the command: no process of filelock stays, and the lock ends with the command and its heirs")
	set.BoolVar(&f.init, "init", false, "reap orphans, as process 1 of a container has to; process 1 does so anyway")
}

// complete takes what the flags leave open: which were given, and the operands.
func (f *runFlags) complete(set *pflag.FlagSet) error {
	if err := f.lockFlags.complete(set); err != nil {
		return err
	}
	f.useShell = set.Changed("command")
	switch {
	case f.exec && f.close:
		return errors.New("-F and -o exclude each other: it is the command that holds the lock")
	case f.exec && (f.lease > 0 || f.init):
		return errors.New("-F leaves no filelock behind, as --lease, --kill-on-loss and --init need it")
	}
	if err := f.operands(set.Args()); err != nil {
		return err
	}
	if err := f.locate(); err != nil {
		return err
	}
	if f.exec && inService(f.named) {
		return errors.New("-F leaves no filelock behind, and nobody to renew the lease of a lock in a lock service")
	}
	return nil
}

// endsOnLoss reports whether the command is ended when a lock is lost. In a lock service
// it is lost for good then, and another one's.
func (f *runFlags) endsOnLoss() bool { return f.killOnLoss || inService(f.named) }

// leavesToHeirs reports whether the lock outlives the command in those of its
// descendants that have its ticket open. A lease does not: nobody would renew it.
func (f *runFlags) leavesToHeirs() bool { return !f.close && f.lease == 0 && !inService(f.named) }

// operands takes what follows the flags: the target and the command.
func (f *runFlags) operands(rest []string) error {
	if len(f.targets) == 0 {
		if len(rest) == 0 {
			return errors.New("which TARGET?")
		}
		f.targets, rest = rest[:1], rest[1:]
	}
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

// seconds is a flag: a number of seconds, or what time.ParseDuration reads.
type seconds time.Duration

func (s *seconds) Type() string { return "time" }

func (s *seconds) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

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
