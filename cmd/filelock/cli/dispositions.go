package cli

import "syscall"

// dispositions tell how this process was to treat signals when it began. The
// command is to be started so, too.
//
// Of those that were blocked, the Go runtime has let some in before anybody could
// look: on Linux HUP, INT, QUIT, TERM, ABRT and the faults.
type dispositions struct{ ignored, blocked sigset }

// sigset is a set of signals, 1 to 64.
type sigset uint64

func (s sigset) has(sig syscall.Signal) bool { return s&(1<<(uint(sig)-1)) != 0 }

func (s *sigset) add(sig syscall.Signal) { *s |= 1 << (uint(sig) - 1) }
