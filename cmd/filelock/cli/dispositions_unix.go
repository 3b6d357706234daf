//go:build unix && (!linux || mips || mipsle || mips64 || mips64le)

package cli

import (
	"os/signal"
	"sync"
	"syscall"
)

// inherited returns the dispositions of this process's start, as far as the Go
// runtime tells: whether hangup and interrupt were ignored.
var inherited = sync.OnceValue(func() dispositions {
	var d dispositions
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			d.ignored.add(sig)
		}
	}
	return d
})
