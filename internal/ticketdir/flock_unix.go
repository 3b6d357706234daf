//go:build unix && !linux && !aix

package ticketdir

import "golang.org/x/sys/unix"

// flock is a variable for the tests of filesystems without locks.
var flock = unix.Flock
