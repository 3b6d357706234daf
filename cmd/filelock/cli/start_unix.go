//go:build unix

package cli

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killGrace is how long a command may take to end after TERM when its lock is lost.
const killGrace = 5 * time.Second

// become makes this process the command, which inherits the open tickets. It returns
// if that fails.
func become(argv, env []string) error {
	return withInterpreter(argv, func(file string, argv []string) error { return syscall.Exec(file, argv, env) })
}

// command runs the command to its end.
func (r *run) command(env []string, drop func(), say *narrator) (ending, error) {
	j := &job{signals: r.signals, tty: openTerminal(), init: r.flags.init || os.Getpid() == 1}
	defer j.tty.close()
	if j.init {
		becomeReaper()
	}
	var lost <-chan struct{}
	if r.flags.killOnLoss {
		lost = r.held.lost()
	}
	j.prepare()
	r.spared.Wait()
	if err := r.start(j, env); err != nil {
		return ending{}, err
	}
	drop()
	say.running(j.pid)
	status, ended := j.attend(lost, nil)
	var e ending
	if !ended {
		e.lost = true
		j.send(unix.SIGTERM)
		j.send(unix.SIGCONT)
		briefly(func() { say.lost(j.pid) })
		if status, ended = j.attend(nil, time.After(killGrace)); !ended {
			_ = unix.Kill(-j.pid, unix.SIGKILL)
			status, _ = j.attend(nil, nil)
		}
	}
	j.end(status)
	j.std.copied.Wait()
	e.code = status.ExitStatus()
	if status.Signaled() {
		e.signal = status.Signal()
	}
	return e, nil
}

// start starts the command.
func (r *run) start(j *job, env []string) error {
	std, err := openStd(r.std)
	if err != nil {
		return err
	}
	defer std.started()
	j.std = std
	attr := &syscall.ProcAttr{Env: env, Files: std.fds, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if r.flags.killOnLoss {
		endWithParent(attr.Sys) // who else would end it?
	}
	// What a shell started in its background has not the terminal for its input, or is
	// not to be interrupted.
	if in, ok := r.std.in.(*os.File); ok && controls(in) && j.tty.ours() && !inherited().ignored.has(unix.SIGINT) {
		attr.Sys.Foreground, attr.Sys.Ctty = true, j.tty.fd
		j.interactive, j.given = true, true
	}
	err = withInterpreter(r.argv(), func(file string, argv []string) (err error) {
		j.pid, err = syscall.ForkExec(file, argv, attr)
		return err
	})
	if err != nil {
		j.takeBack()
	}
	return err
}

// endBySignal ends this process by the signal that ended the command or the wait. It
// returns where that cannot be.
func endBySignal(s os.Signal) {
	if sig, ok := s.(syscall.Signal); ok {
		endBy(sig)
	}
}
