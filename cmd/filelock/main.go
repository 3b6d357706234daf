// Command filelock runs a command while holding the lock of a path.
//
//	filelock run [flags] TARGET [--] COMMAND [ARG...]
//
// "filelock run -h" tells more.
package main

import (
	"os"

	"github.com/filelock-go/filelock/cmd/filelock/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
