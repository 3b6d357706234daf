//go:build unix && !linux

package cli

import "syscall"

// What these do on Linux has no like here, or needs none.
func becomeReaper()                        {}
func endWithParent(_ *syscall.SysProcAttr) {}
func spareThreads()                        {}
