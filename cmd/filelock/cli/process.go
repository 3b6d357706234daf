package cli

import (
	"time"

	"github.com/filelock-go/filelock/internal/liveness"
)

// pollProcess returns a channel that is closed a moment after the process has ended.
func pollProcess(pid int) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			switch liveness.Ask(pid, 0) {
			case liveness.ProcessGone, liveness.ProcessZombie:
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return ended
}
