package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/filelock-go/filelock/cmd/filelock/internal/verify"
)

// exitNotSafe is the exit code of verify for a directory that is not safe.
const exitNotSafe = 1

const verifyLong = `Verify finds out whether locks in DIR can be relied on.

First, experiments between two processes show what its filesystem does: whether a
listing shows what others made, times can be set and read back, a lock that one
process has is refused to another one, and so on. Then several processes contend for
a lock in DIR and tell a referee, over the network and not through DIR, when they
come in and go out. It counts how often two were inside, and who was served before
one that was there earlier.

Other hosts take part through their own mount of DIR: start it here with --listen
and --hosts, and there with the --join that it prints. Only who knows the key in it
is heard; the connection is not encrypted.

The verdict:

    safe                  two are never inside, waiters are woken at once, and the
                          dead are passed by
    safe by polling only  two are never inside; waiters learn of changes only when
                          they look for themselves, and a ticket of a dead owner on
                          another host blocks until an operator removes it
    not safe              two were inside, or what keeps them apart does not hold here

A few seconds prove nothing about rare failures: a longer --time finds more of them.
It leaves nothing in DIR.

Exit code:

     0  safe, or safe by polling only
     1  not safe
    64  wrong usage
    66  DIR does not exist
    71  the system refused something, or others did not come: there is no verdict, or it
        could not be written`

// verifyFlags are the arguments of "filelock verify".
type verifyFlags struct {
	time, hold  time.Duration
	processes   int
	hosts       int
	listen, key string
	join        string
	svg         string
	json        bool
}

func newVerify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:                   "verify [flags] DIR",
		Short:                 "Find out whether locks in a directory can be relied on",
		Long:                  verifyLong,
		DisableFlagsInUseLine: true,
		Args:                  oneDir,
		RunE:                  func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	set := cmd.Flags()
	set.DurationVar(&f.time, "time", 5*time.Second, "how long they contend")
	set.DurationVar(&f.hold, "hold", time.Millisecond, "how long each holds the lock")
	set.IntVar(&f.processes, "processes", 4, "how many contend, on each host")
	set.IntVar(&f.hosts, "hosts", 1, "how many hosts take part, this one included")
	set.StringVar(&f.listen, "listen", "127.0.0.1:0", "where the referee listens, `HOST:PORT`")
	set.StringVar(&f.key, "key", "", "what others must know to be heard, at least 8 characters (default: random)")
	set.StringVar(&f.join, "join", "", "take part in a verification on another host, `HOST:PORT/KEY`")
	set.StringVar(&f.svg, "svg", "", "draw who waited and held when, into `FILE`")
	set.BoolVar(&f.json, "json", false, "as JSON")
	return cmd
}

func oneDir(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("want one DIR")
	}
	return nil
}

func (f *verifyFlags) check() error {
	switch {
	case f.time <= 0:
		return errors.New("--time: want more than zero")
	case f.hold <= 0:
		return errors.New("--hold: want more than zero")
	case f.processes < 1 || f.processes > verify.MostProcesses:
		return fmt.Errorf("--processes: want 1 to %d", verify.MostProcesses)
	case f.hosts < 1 || f.hosts > 64:
		return errors.New("--hosts: want 1 to 64")
	case f.key != "" && (len(f.key) < 8 || strings.ContainsAny(f.key, "/ \t\n")):
		return errors.New("--key: want at least 8 characters, no spaces and no slash")
	case f.join != "" && f.hosts > 1:
		return errors.New("--join and --hosts exclude each other")
	case f.hosts*f.processes < 2:
		return errors.New("one alone does not contend: want more --processes or --hosts")
	}
	return nil
}

func (f *verifyFlags) run(cmd *cobra.Command, dir string) error {
	if err := f.check(); err != nil {
		return err
	}
	std := streamsOf(cmd)
	bar := newBar(std.err)
	o := verify.Options{
		Processes: f.processes, For: f.time, Hold: f.hold, Listen: f.listen, Key: f.key, Hosts: f.hosts,
		Progress: bar.show, Listens: func(join string) {
			bar.clear()
			fmt.Fprintf(std.err, "On the others: filelock verify --join %s DIR\n", reachable(join))
		},
	}
	var err error
	if o.Dir, err = filepath.Abs(dir); err == nil {
		o.Worker, err = workerCommand()
	}
	if err != nil {
		return exit(exitOS, err)
	}
	ctx, stop := ended(cmd.Context())
	defer stop()
	var r verify.Report
	if f.join != "" {
		r, err = verify.Join(ctx, f.join, o)
	} else {
		r, err = verify.Run(ctx, o)
	}
	bar.clear()
	if err != nil {
		return testFailed(ctx, err)
	}
	return f.tell(std.out, r)
}

// tell prints and draws the report, and returns what to end with.
func (f *verifyFlags) tell(out io.Writer, r verify.Report) error {
	var undrawn error
	if f.svg != "" && r.Contenders != nil {
		undrawn = draw(f.svg, timeline(r).Draw)
	}
	if f.json {
		if err := writeJSON(out, r); err != nil {
			return exit(exitOS, err)
		}
	} else if err := describe(out, r); err != nil {
		return exit(exitOS, err)
	}
	switch {
	case undrawn != nil:
		return exit(exitOS, undrawn)
	case r.Verdict == verify.NotSafe:
		return exit(exitNotSafe, nil)
	}
	return nil
}

// reachable puts this host's name where a referee listens on all addresses.
func reachable(join string) string {
	address, key, _ := strings.Cut(join, "/")
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return join
	}
	if host, err = os.Hostname(); err != nil {
		return join
	}
	return net.JoinHostPort(host, port) + "/" + key
}

// testFailed is the end of a test that came to no verdict.
func testFailed(ctx context.Context, err error) error {
	var got endedBy
	switch {
	case errors.As(context.Cause(ctx), &got):
		return exit(exitSignal+got.number(), err)
	case errors.Is(err, os.ErrNotExist):
		return exit(exitNoInput, err)
	}
	return exit(exitOS, err)
}
