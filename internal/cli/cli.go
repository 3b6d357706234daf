// Package cli is the filelock command. Its main package only calls Main.
package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
)

// Exit codes of the command's own, as sysexits(3) has them. They leave out
// those that a shell uses for its commands: 1 to 63, 126 and 127, 128+N.
const (
	exitUsage       = 64
	exitNoInput     = 66 // the directory is missing
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

// subcommand is one of the words that may follow "filelock".
type subcommand struct {
	name, does string
	main       func(args []string, std streams) int
}

func subcommands() []subcommand {
	return []subcommand{
		{"run", "run a command while holding a lock", runMain},
		{"status", "show who holds a lock and who waits", statusMain},
		{"reap", "remove the tickets of the dead", reapMain},
		{"version", "print the version", versionMain},
	}
}

// Main runs the command with args, which do not include its name, and returns
// its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	std := streams{stdin, stdout, stderr}
	if len(args) == 0 {
		fmt.Fprint(stderr, usage())
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return help(args[1:], std)
	case "-version", "--version":
		return versionMain(nil, std)
	}
	for _, c := range subcommands() {
		if c.name == args[0] {
			return c.main(args[1:], std)
		}
	}
	return complain(stderr, "filelock", fmt.Sprintf("there is no command %q", args[0]))
}

// complain reports wrong usage.
func complain(w io.Writer, name, what string) int {
	fmt.Fprintf(w, "%s: %s\nTry \"%s -h\".\n", name, what, name)
	return exitUsage
}

func help(args []string, std streams) int {
	if len(args) > 0 {
		for _, c := range subcommands() {
			if c.name == args[0] {
				return c.main([]string{"-h"}, std)
			}
		}
	}
	fmt.Fprint(std.out, usage())
	return 0
}

func usage() string {
	var b strings.Builder
	b.WriteString(`filelock lets processes take turns on a path, first come first served.

Usage:

  filelock run [flags] TARGET [--] COMMAND [ARG...]
  filelock status [--json] TARGET
  filelock reap [--dry-run] TARGET
`)
	b.WriteString("\nCommands:\n\n")
	for _, c := range subcommands() {
		fmt.Fprintf(&b, "  %-9s %s\n", c.name, c.does)
	}
	b.WriteString(`
"filelock COMMAND -h" tells more.

The target need not exist and is never touched. The lock is a queue of files
beside it, TARGET.lock.HOST.PID.TOKEN.pid, one for each process that holds the
lock or waits for it.
`)
	return b.String()
}

func versionMain(args []string, std streams) int {
	if len(args) > 0 {
		fmt.Fprintln(std.out, "Usage: filelock version")
		if args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
			return 0
		}
		return exitUsage
	}
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	fmt.Fprintf(std.out, "filelock %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return 0
}
