// Command filelock runs a command while holding a lock: that of a path, or of a name in
// etcd.
//
//	filelock run [flags] TARGET [--] COMMAND [ARG...]
//	filelock run [flags] etcd://HOST:PORT/NAME [--] COMMAND [ARG...]
//
// It is the command of github.com/filelock-go/filelock/cmd/filelock, with etcd built in.
// "filelock run -h" tells more.
package main

import (
	"os"

	"github.com/filelock-go/filelock/cmd/filelock/cli"
	_ "github.com/filelock-go/filelock/etcdlock/etcdurl"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
