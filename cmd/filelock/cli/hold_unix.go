//go:build unix

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
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
	for {
		select {
		case sig := <-s.c:
			_ = cmd.Process.Signal(sig)
		case all := <-text:
			var h holding
			if json.Unmarshal(all, &h) == nil {
				_, err := io.WriteString(std.out, h.script())
				return exit(0, err)
			}
			return notHolding(cmd, std.out)
		}
	}
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
		if flag.Name != "target" && flag.Name != "pid" {
			args = append(args, "--"+flag.Name+"="+flag.Value.String())
		}
	})
	args = append(args, "--")
	args = append(args, f.targets...)
	return &exec.Cmd{Path: program, Args: args}, nil
}

// notHolding is the end of hold without the lock. The holder has said why. The script's
// eval fails with the same code.
func notHolding(cmd *exec.Cmd, out io.Writer) error {
	err := cmd.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return exit(exitOS, err)
	}
	code := cmd.ProcessState.ExitCode()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	signaled := ok && status.Signaled()
	if signaled {
		code = exitSignal + int(status.Signal())
	}
	fmt.Fprintf(out, "(exit %d)\n", code)
	if signaled {
		endBySignal(status.Signal())
	}
	return exit(code, nil)
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
	// Until it has reported, it ends with the process that started it, or the script,
	// as a job ends when its terminal goes.
	var reported atomic.Bool
	hangup := func() {
		if !reported.Load() {
			s.c <- unix.SIGHUP
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, std.in)
		hangup()
	}()
	go func() {
		<-script
		hangup()
	}()
	r := run{flags: &runFlags{lockFlags: f.lockFlags}, std: std, signals: s}
	r.held, err = take(f.lockFlags, s, newNarrator(std.err, f.verbose, f.quiet))
	if err != nil {
		return r.notHeld(err)
	}
	h := holding{}
	if h, err = r.holding(); err == nil {
		reported.Store(true)
		err = json.NewEncoder(std.out).Encode(h)
	}
	if err == nil {
		err = detach()
	}
	if err != nil {
		return exitOS, errors.Join(err, r.held.release())
	}
	lost := r.held.lost()
	for over := false; !over; {
		select {
		case sig := <-s.c:
			over = fatal(sig)
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

// holding describes the locks that r has taken.
func (r *run) holding() (h holding, err error) {
	self, err := liveness.Self()
	if err != nil {
		return h, err
	}
	h.Holder, h.Variables = holder{self.PID, self.Start}, map[string]string{}
	var tickets []string
	for _, l := range r.held.locks {
		w, err := r.witness(l.FileLock)
		if err != nil {
			return h, err
		}
		tickets = append(tickets, w.Name())
		w.Close()
	}
	for _, v := range r.held.variables(tickets) {
		h.Variables[v.name] = v.value
	}
	return h, nil
}

// detach leaves the terminal, the job and the directory of the script.
func detach() error {
	// The script waits for the end of the pipe that is the standard output.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := duplicate(fdOf(null), fd); err != nil {
			return err
		}
	}
	// It leads no group, as a child of one in a job. In case it does, it has none to leave.
	_, _ = unix.Setsid()
	return os.Chdir("/")
}
