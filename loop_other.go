//go:build !plan9

package filelock

import "syscall"

// errLoop says that a path leads through too many symbolic links.
const errLoop = syscall.ELOOP
