//go:build !unix

package cli

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
)

// harmless is one that is told of anyhow.
var harmless = os.Interrupt

// endings are the events that end a process.
var endings = forwarded

func notify() *signals {
	s := &signals{c: make(chan os.Signal, 16)}
	for _, sig := range forwarded {
		if !signal.Ignored(sig) {
			signal.Notify(s.c, sig)
		}
	}
	return s
}

func fatal(os.Signal) bool { return true }

// endBySignal does nothing: no process ends by a signal here.
func endBySignal(os.Signal) {}

// letSignalsEnd is for what comes before become.
func letSignalsEnd() {}

// become is not to be had: no process becomes another program here.
func become(_, _ []string) error { return errors.ErrUnsupported }

// inheritable is not called: there is no witness here.
func inheritable(*os.File) (int, error) { return 0, errors.ErrUnsupported }

func closeInherited(int) {}

// spareThreads is for systems where threads count as processes.
func spareThreads() {}

// command runs the command to its end.
func (r *run) command(env []string, drop func(), say *narrator) (ending, error) {
	cmd := r.newCommand()
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.std.in, r.std.out, r.std.err
	if err := cmd.Start(); err != nil {
		return ending{}, err
	}
	drop()
	r.spared.Wait()
	say.running(cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var lost <-chan struct{}
	if r.flags.killOnLoss {
		lost = r.held.lost()
	}
	var e ending
	for {
		select {
		case s := <-r.signals.c:
			forward(cmd, s)
		case <-lost:
			lost, e.lost = nil, true
			_ = cmd.Process.Kill() // there is nothing gentler
			briefly(func() { say.lost(cmd.Process.Pid) })
		case err := <-ended:
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) {
				return e, err
			}
			e.code = cmd.ProcessState.ExitCode()
			return e, nil
		}
	}
}

// isTerminal reports false: whether a console draws lines anew is not known.
func isTerminal(*os.File) bool { return false }

func columns(*os.File) int { return 0 }

func inForeground() bool { return false }
