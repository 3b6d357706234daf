package cli

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// becomeReaper makes this process the parent of its descendants' orphans, as process 1
// is by itself.
func becomeReaper() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// endWithParent has the command killed when this process ends, however.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = unix.SIGKILL }

// spareThreads has the Go runtime start threads and keep them. What is left to do when
// the command has ended needs none that is not there, so that it is done even where
// the user may have no more processes: there the runtime, in need of a thread, would
// end this process with the lock in its hands.
func spareThreads() {
	const spare = 6
	var p [2]int
	if unix.Pipe2(p[:], unix.O_CLOEXEC) != nil {
		return
	}
	var blocked, done sync.WaitGroup
	for range spare {
		blocked.Add(1)
		done.Go(func() {
			blocked.Done()
			var b [1]byte
			_, _ = unix.Read(p[0], b[:]) // keeps its thread until the pipe is closed
		})
	}
	blocked.Wait()
	unix.Close(p[1])
	done.Wait()
	unix.Close(p[0])
}

// duplicate makes the number to another one of from.
func duplicate(from, to int) error { return unix.Dup3(from, to, 0) }
