package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"go.uber.org/zap"
)

// command runs the command under the held lock and returns its exit code.
func (r *run) command() (code int, err error) {
	cmd := r.newCommand()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.std.in, r.std.out, r.std.err
	var got signalError
	switch err := r.start(cmd); {
	case errors.As(err, &got):
		return exitSignal + got.number(), err
	case err != nil:
		return exitUnavailable, fmt.Errorf("cannot run the command: %w", err)
	}
	r.log.Debug("run", zap.Int("pid", cmd.Process.Pid))
	code, err = r.attend(cmd)
	r.log.Debug("exit", zap.Int("code", code))
	return code, err
}

func (r *run) newCommand() *exec.Cmd {
	if r.flags.useShell {
		return shell(r.flags.shell)
	}
	return exec.Command(r.flags.command[0], r.flags.command[1:]...)
}

// start starts the command with the lock's witness among its open files.
func (r *run) start(cmd *exec.Cmd) error {
	witness, err := r.witness()
	if errors.Is(err, errors.ErrUnsupported) {
		return cmd.Start()
	}
	if err != nil {
		return err
	}
	defer witness.Close()
	drop, err := bequeath(witness)
	if err != nil {
		return err
	}
	defer drop()
	return cmd.Start()
}

// witness returns the lock's witness, unless a signal comes first: to take it may
// need a server's answer.
func (r *run) witness() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	got := make(chan result, 1)
	go func() {
		f, err := r.lock.Witness()
		got <- result{f, err}
	}()
	select {
	case g := <-got:
		return g.file, g.err
	case s := <-r.signals.c:
		return nil, signalError{s}
	}
}

// attend waits for the command, and passes signals on to it meanwhile.
func (r *run) attend(cmd *exec.Cmd) (int, error) {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-r.signals.c:
			if fromTerminal(s) {
				continue
			}
			r.log.Debug("signal", zap.String("signal", signalName(s)))
			// It may have ended just now; then there is nobody to tell.
			_ = cmd.Process.Signal(s)
		case err := <-ended:
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) {
				return exitOS, err
			}
			return exitStatus(cmd.ProcessState), nil
		}
	}
}
