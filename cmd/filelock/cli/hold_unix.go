//go:build unix

package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
)

// hold starts a holder and prints what the script needs to know of it, once it has the
// lock. Until then the two are one job: a key reaches both.
func hold(f *holdFlags, std streams) error {
	if f.pid == 0 {
		if isOrphan() {
			return errors.New("the script that called this has ended: --pid names another process")
		}
		f.pid = callingScript()
	}
	s := notify()
	defer s.stop()
	leash, leashed, err := os.Pipe() // its end tells the holder that this process is gone
	if err != nil {
		return exit(exitOS, err)
	}
	defer leashed.Close()
	report, reported, err := os.Pipe()
	if err != nil {
		return exit(exitOS, err)
	}
	cmd, err := f.holder()
	if err != nil {
		return exit(exitOS, err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = leash, reported, std.err
	err = cmd.Start()
	leash.Close()
	reported.Close()
	if err != nil {
		return exit(exitOS, err)
	}
	text := make(chan []byte, 1)
	go func() {
		all, _ := io.ReadAll(report) // whatever ended it: nothing was reported
		text <- all
	}()
	var got os.Signal // the first one of those that end a process
	for {
		select {
		case sig := <-s.c:
			if got == nil && fatal(sig) {
				got = sig
			}
			_ = cmd.Process.Signal(sig)
		case all := <-text:
			s.stop()
			if sig, ok := s.pending(fatal); ok && got == nil {
				got = sig
			}
			return holds(cmd, all, got, std.out)
		}
	}
}

// isOrphan reports whether the process that called this one is seen to have ended: who
// takes orphans in is of another session, and would hold the lock for ever.
func isOrphan() bool {
	own, err := unix.Getsid(0)
	parents, parentErr := unix.Getsid(os.Getppid())
	leads := own == os.Getpid() // by setsid(1), which leaves the parent in its session
	return err == nil && parentErr == nil && !leads && parents != own
}

// holds is the end of hold, after what the holder has reported. If a signal came, or
// the script cannot be told, the holder gives the lock back: nobody would know of it.
func holds(cmd *exec.Cmd, report []byte, got os.Signal, out io.Writer) error {
	var h holding
	switch {
	case json.Unmarshal(report, &h) != nil:
		return notHolding(cmd, out)
	case got != nil:
		return endHold(out, got, h.Holder.end())
	}
	if _, err := io.WriteString(out, h.script()); err != nil {
		return exit(exitOS, errors.Join(err, h.Holder.end()))
	}
	return nil
}

// endHold ends this process, and the script's eval, by a signal.
func endHold(out io.Writer, sig os.Signal, err error) error {
	code := exitSignal + signalNumber(sig)
	printFailure(out, code)
	endBySignal(sig)
	return exit(code, err)
}

// endHolder is what ends a holder.
const endHolder = unix.SIGTERM

// holder is the command line of the process that holds the lock.
func (f *holdFlags) holder() (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{os.Args[0], "holder", "--pid", strconv.Itoa(f.pid)}
	f.given.Visit(func(flag *pflag.Flag) {
		value := flag.Value.String()
		if d, ok := flag.Value.(*seconds); ok && *d == 0 {
			value = "0" // which has no text, as it is the default
		}
		if flag.Name != "target" && flag.Name != "pid" {
			args = append(args, "--"+flag.Name+"="+value)
		}
	})
	args = append(args, "--")
	args = append(args, f.targets...)
	// It learns of the tickets that the script has open by their names.
	held := heldStill()
	for _, path := range openTickets() {
		if !slices.ContainsFunc(held, sameTicket(path)) {
			held = append(held, path)
		}
	}
	around := variable{envHeld, strings.Join(held, "\n")}
	keepInherited()
	return &exec.Cmd{Path: program, Args: args, Env: withVariables(os.Environ(), []variable{around})}, nil
}

// keepInherited keeps the files that this process has inherited from those that it
// starts. The script means to end what they stand for by closing them, such as a lock of
// flock(1) or a pipe, and the holder would go on.
func keepInherited() {
	open, _ := os.ReadDir("/dev/fd") // where that is not, some may be passed on
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// notHolding is the end of hold without the lock. The holder has said why. The script's
// eval fails with the same code.
func notHolding(cmd *exec.Cmd, out io.Writer) error {
	err := cmd.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return exit(exitOS, err)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return endHold(out, status.Signal(), nil)
	}
	return exit(cmp.Or(cmd.ProcessState.ExitCode(), exitInternal), nil)
}

// keep is the holder: it takes the locks, reports, and keeps them until it is told to
// end, the script has ended, or a lease is lost.
func keep(f *holdFlags, std streams) (code int, err error) {
	s := notify()
	defer s.stop()
	script, err := watchProcess(f.pid)
	if err != nil {
		return exitOS, fmt.Errorf("process %d: %w", f.pid, err)
	}
	caller := endOf(std.in)
	// Until it has reported, it ends with that, or the script, as a job ends when its
	// terminal goes.
	var reported atomic.Bool
	hangup := func(gone <-chan struct{}) {
		<-gone
		if !reported.Load() {
			s.c <- unix.SIGHUP
		}
	}
	go hangup(caller)
	go hangup(script)
	r := run{flags: &runFlags{lockFlags: f.lockFlags}, std: std, signals: s}
	r.held, err = take(f.lockFlags, s, newNarrator(std.err, f.verbose, f.quiet))
	if err != nil {
		return r.notHeld(err)
	}
	if err := r.report(&reported); err != nil {
		return r.notHeld(errors.Join(err, r.held.release()))
	}
	lost := r.held.lost()
	for over := false; !over; {
		select {
		case sig := <-s.c:
			over = fatal(sig) && (sig == endHolder || caller == nil)
		case <-caller:
			caller = nil
			_, over = s.pending(func(sig os.Signal) bool { return sig == endHolder })
		case <-script:
			over = true
		case <-lost:
			over = true
			if f.killOnLoss {
				_ = unix.Kill(f.pid, unix.SIGTERM)
			}
		}
	}
	// Nobody sees this exit code.
	if err := r.held.release(); err != nil {
		return exitOS, err
	}
	return 0, nil
}

// report leaves the script's job and tells what is held.
//
// A key of the terminal reaches this process and its caller alike, and only the caller
// can tell the script. So it is the caller who decides whether a key came too late:
//
//  1. This process leaves the job: keys do not reach it any more.
//  2. One that came before ends it here, and nothing is reported.
//  3. It reports. Of what comes while the caller lives, nothing ends it but endHolder:
//     it may have been sent before 1.
//  4. If the caller has got a signal, it sends endHolder, and else prints, and ends.
func (r *run) report(reported *atomic.Bool) error {
	h, err := r.holding()
	if err != nil {
		return err
	}
	null, err := leaveJob() // 1
	if err != nil {
		return err
	}
	defer null.Close()
	if sig, ok := r.signals.pending(fatal); ok {
		return signalError{sig} // 2
	}
	reported.Store(true)
	if err := json.NewEncoder(r.std.out).Encode(h); err != nil { // 3
		return err
	}
	// The caller waits for the end of the pipe that is the standard output, and the
	// standard error is the script's.
	for _, fd := range []int{1, 2} {
		if err := duplicate(fdOf(null), fd); err != nil {
			return err
		}
	}
	return nil
}

// endOf returns a channel that is closed at the end of the leash: the process that has
// started this one is gone.
func endOf(leash io.Reader) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, leash)
	}()
	return ended
}

// holding describes the locks that r has taken.
func (r *run) holding() (h holding, err error) {
	self, err := liveness.Self()
	if err != nil {
		return h, err
	}
	h.Holder, h.Variables = holder{self.PID, self.Start}, map[string][]byte{}
	var tickets []string
	for _, l := range r.held.locks {
		w, err := r.witness(l)
		if err != nil {
			return h, err
		}
		tickets = append(tickets, w.Name())
		w.Close()
	}
	for _, v := range r.held.variables(tickets) {
		h.Variables[v.name] = []byte(v.value)
	}
	return h, nil
}

// leaveJob leaves the terminal, the job and the directory of the script, and returns what
// is to take the place of its streams.
func leaveJob() (null *os.File, err error) {
	if null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	// It leads no group, as a child of one in a job. In case it does, it has none to leave.
	_, _ = unix.Setsid()
	if err := os.Chdir("/"); err != nil {
		null.Close()
		return nil, err
	}
	return null, nil
}
