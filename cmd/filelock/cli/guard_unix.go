//go:build unix

package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guard is a process that outlives filelock if that is killed. The kernel would kill the
// command then, where it can be told to (see endWithParent), but not what the command
// has started, such as the programs of a shell script. It also goes on if filelock alone is
// stopped, and then ends the command before the lease of a lock service is over.
//
// It belongs to the command's process group. So it reaches that group, and no other one
// that has got the same number meanwhile.
type guard struct {
	cmd  *exec.Cmd
	pipe *os.File // its end tells the guard that filelock is gone
}

// startGuard starts a guard that has yet to be told of the group.
func startGuard() (*guard, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	// Until it ignores signals, it is in a group that gets none.
	cmd := &exec.Cmd{Path: program, Args: []string{os.Args[0], guardName}, Stdin: in, SysProcAttr: &unix.SysProcAttr{Setpgid: true}}
	if err := cmd.Start(); err != nil {
		out.Close()
		return nil, fmt.Errorf("to start the process that ends the command if filelock is killed: %w", err)
	}
	return &guard{cmd, out}, nil
}

// watch tells the guard of the command's process group.
func (g *guard) watch(group int) {
	if g != nil {
		_, _ = fmt.Fprintln(g.pipe, group) // it may have been killed; then there is none
	}
}

// extend tells the guard that all is well for so long. Until it is told so for the first
// time, it does not care.
func (g *guard) extend(left time.Duration) {
	// It may be stopped, as part of the group; nobody is to wait for it then.
	_ = g.pipe.SetWriteDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintln(g.pipe, left.Milliseconds())
}

// patience is how long a guard may take to read one line.
const patience = 100 * time.Millisecond

// end ends the guard, and waits for that. Further calls do nothing.
func (g *guard) end() {
	if g == nil {
		return
	}
	// It may be stopped, as part of the group, and the end of the pipe would be a word to it.
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait() // it may have been reaped with the orphans
	g.pipe.Close()
}

// standGuard is what the guard does.
func standGuard(in io.Reader) (code int) {
	for _, sig := range append(forwarded, jobControl...) {
		signal.Ignore(sig) // it is the command's, by whoever sends it to the whole group
	}
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return 0 // the command was not started
	}
	group, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
	if err != nil {
		return exitUsage
	}
	if err := unix.Setpgid(0, group); err != nil {
		return 0 // the command has ended, and all of its group
	}
	waitForLoss(lines)
	_ = unix.Kill(0, unix.SIGKILL)
	return exitInternal
}

// waitForLoss returns when filelock is gone, or has said nothing for as long as all was to be
// well.
func waitForLoss(lines *bufio.Scanner) {
	said := make(chan string)
	go func() {
		defer close(said)
		for lines.Scan() {
			said <- lines.Text()
		}
	}()
	var late <-chan time.Time
	for {
		select {
		case line, ok := <-said:
			left, err := strconv.Atoi(line)
			if !ok || err != nil {
				return
			}
			late = time.After(time.Duration(left) * time.Millisecond)
		case <-late:
			return
		}
	}
}

// jobControl are signals that may be ignored, besides those that filelock passes on.
var jobControl = []syscall.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGPIPE}
