//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// job is the running command and what belongs to it: a process group of its own, so
// that each signal reaches it once, whether it was sent to filelock, to filelock's
// group, or by the terminal.
//
// The terminal is the command's while the command is in the foreground. That is how a
// shell does it, and to the shell, filelock does what the command would have done in
// its place: it stops when the command is stopped, and ends by the signal that ended
// the command.
type job struct {
	pid     int
	tty     *terminal
	signals *signals
	// interactive: the command has the terminal whenever filelock's job is in the
	// foreground. given: it has it now.
	interactive, given bool
	init               bool // reap whatever ends
	std                *std

	child     chan os.Signal // something happened to a child
	continued chan os.Signal // this process was continued
	seen      map[os.Signal]time.Time
}

// prepare begins to receive what a job needs. It precedes the command's start, so
// that nothing is missed.
func (j *job) prepare() {
	d := inherited()
	j.child = make(chan os.Signal, 1)
	j.continued = make(chan os.Signal, 1)
	j.seen = map[os.Signal]time.Time{}
	signal.Notify(j.child, unix.SIGCHLD)
	if !d.ignored.has(unix.SIGCONT) {
		signal.Notify(j.continued, unix.SIGCONT)
	}
	if !d.ignored.has(unix.SIGTSTP) && !d.blocked.has(unix.SIGTSTP) {
		signal.Notify(j.signals.c, unix.SIGTSTP)
	}
}

// attend passes on what comes until the command has ended, or lost is ready.
func (j *job) attend(lost <-chan struct{}, expired <-chan time.Time) (status unix.WaitStatus, ended bool) {
	for {
		select {
		case <-j.child:
			if status, ended := j.reap(); ended {
				return status, true
			}
		case s := <-j.signals.c:
			j.forward(s)
		case <-j.continued:
			j.resume()
		case <-lost:
			return 0, false
		case <-expired:
			return 0, false
		}
	}
}

// echo is how soon a signal that comes again is the same one: who ends a whole job
// often signals its process and then its group, as timeout(1) does.
const echo = 20 * time.Millisecond

// forward passes a signal on to the command.
func (j *job) forward(s os.Signal) {
	sig := s.(syscall.Signal)
	if !repeats(sig) {
		last, now := j.seen[s], time.Now()
		j.seen[s] = now
		if now.Sub(last) < echo {
			return
		}
	}
	j.send(sig)
}

// repeats reports whether each of two signals in a row counts: the second may tell of a
// second change, or follow a CONT; and real-time signals are counted.
func repeats(sig syscall.Signal) bool {
	return sig == unix.SIGWINCH || sig == unix.SIGTSTP || sig >= minRealTime
}

// send signals the command. It is not reaped yet, so that its pid is its own.
func (j *job) send(sig syscall.Signal) {
	to := j.pid
	if forJob(sig) {
		to = -j.pid
	}
	_ = unix.Kill(to, sig) // it may have ended just now; then there is nobody to tell
}

// reap looks what happened to the command, and reports whether it has ended.
func (j *job) reap() (status unix.WaitStatus, ended bool) {
	of := j.pid
	if j.init {
		of = -1
	}
	for {
		pid, err := unix.Wait4(of, &status, unix.WNOHANG|unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil || pid <= 0:
			return 0, false
		case pid != j.pid: // an orphan
		case status.Stopped():
			j.stopped(status.StopSignal())
		default:
			return status, true
		}
	}
}

// stopped does what the stop of the command asks for.
func (j *job) stopped(sig syscall.Signal) {
	forTerminal := sig == unix.SIGTTIN || sig == unix.SIGTTOU
	switch {
	case j.given:
		// By the keyboard, mostly, which would have stopped the whole of filelock's job.
		j.takeBack()
		if sig == unix.SIGSTOP {
			sig = unix.SIGTSTP
		}
		j.suspend(sig, 0)
	case forTerminal && j.tty.ours():
		// It needs the terminal, and this job has it.
		j.interactive = true
		j.resume()
	case forTerminal:
		j.suspend(sig, 0)
	case sig == unix.SIGTSTP:
		// Passed on from here. The others of the job have got it themselves.
		j.suspend(sig, unix.Getpid())
	}
}

// suspension is how long a stop, and the word of its end, may take to come about.
const suspension = time.Second

// suspend stops this process, or its whole group if pid is 0, until somebody
// continues it, and then the command.
func (j *job) suspend(sig syscall.Signal, pid int) {
	select {
	case <-j.continued: // earlier
	default:
	}
	stopped := false
	withDefault(sig, func(sig syscall.Signal) {
		_ = unix.Kill(pid, sig)
		// Time goes on while this process stands still. So when the first time is
		// over, it may just have been continued.
		for range 2 {
			stopped = stopped || j.continuedWithin(suspension)
		}
	})
	if !stopped && sig != unix.SIGTSTP {
		// Nobody is there to continue a stopped job, so the kernel stopped none. What
		// it does with jobs that are stopped when that happens is done here.
		j.send(unix.SIGHUP)
	}
	j.resume()
}

func (j *job) continuedWithin(d time.Duration) bool {
	select {
	case <-j.continued:
		return true
	case <-time.After(d):
		return false
	}
}

// resume continues the command, in the foreground if that is where this job is.
func (j *job) resume() {
	if j.tty.ours() {
		j.given = false // who stopped this process alone has had the shell take it
	}
	if j.interactive && !j.given && j.tty.ours() {
		j.given = j.tty.give(j.pid)
	}
	j.send(unix.SIGCONT)
}

// takeBack makes filelock's job the foreground again, after the command. If a shell has
// the terminal by now, since it saw this process stopped, it keeps that.
func (j *job) takeBack() {
	if j.given {
		if group := j.tty.foreground(); group == j.pid || unix.Kill(-group, 0) == unix.ESRCH {
			j.tty.give(j.tty.own)
		}
		j.given = false
	}
}

// end does what is to be done when the command has ended. If it was ended by a key,
// the key was meant for the whole job: the script around filelock, say, and its loop.
func (j *job) end(status unix.WaitStatus) {
	byKey := j.given && status.Signaled() && (status.Signal() == unix.SIGINT || status.Signal() == unix.SIGQUIT) &&
		j.tty.foreground() == j.pid
	j.takeBack()
	if byKey {
		signal.Ignore(status.Signal()) // for this process, which ends by itself
		_ = unix.Kill(0, status.Signal())
	}
}
