package ticketdir

import "golang.org/x/sys/unix"

// flock: AIX has locks of processes only, which end with the close of any
// descriptor of the file, and so are no use as a witness.
var flock = func(int, int) error { return unix.ENOTSUP }

// duplicate is for the witness, of which there is none.
func duplicate(int) (int, error) { return -1, unix.ENOTSUP }
