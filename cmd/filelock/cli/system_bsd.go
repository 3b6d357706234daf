//go:build unix && !linux

package cli

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// What these do on Linux has no like here, or needs none.
func becomeReaper()                        {}
func endWithParent(_ *syscall.SysProcAttr) {}
func spareThreads()                        {}

// duplicate makes the number to another one of from.
func duplicate(from, to int) error { return unix.Dup2(from, to) }
