package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/cmd/filelock/internal/overview"
	"github.com/filelock-go/filelock/internal/ticket"
)

// narrator tells people what a command does about a lock: in sentences with
// --verbose, and while it waits, in one line of a terminal. Otherwise it is silent.
type narrator struct {
	out     io.Writer
	verbose bool
	live    *liveLine // nil: none

	mu   sync.Mutex
	over bool
	told map[string]string // by target: who holds it, as was told last
}

func newNarrator(out io.Writer, verbose, quiet bool) *narrator {
	n := &narrator{out: out, verbose: verbose, told: map[string]string{}}
	if f, ok := out.(*os.File); ok && !verbose && !quiet && isTerminal(f) {
		n.live = newLiveLine(f)
	}
	return n
}

// options are what the narrator needs to hear of waits.
func (n *narrator) options() []filelock.Option {
	if !n.verbose && n.live == nil {
		return nil
	}
	return []filelock.Option{filelock.WithOnWait(n.waits)}
}

// waits is told of one wait whenever something about it has changed.
func (n *narrator) waits(w filelock.Wait) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	if n.live != nil {
		n.live.show(w)
		return
	}
	news := holderOf(w.Holder) + w.Deadlock
	if n.told[w.Path] == news {
		return // only the position has changed
	}
	n.told[w.Path] = news
	n.sentence("waiting for %s: %s; position %d in the queue", ticket.Quote(w.Path), holderOf(w.Holder), w.Position)
	if w.Deadlock != "" {
		n.sentence("%s", ticket.Quote(w.Deadlock))
	}
}

// holderOf says in words who holds a lock.
func holderOf(t filelock.Ticket) string {
	if t.Path == "" {
		return "it is just being given back"
	}
	who := fmt.Sprintf("pid %d on %s", t.PID, ticket.Quote(t.Host))
	if t.Heir != 0 {
		who = fmt.Sprintf("pid %d, an heir of %s", t.Heir, who)
	}
	var of []string
	if t.Command != "" {
		of = append(of, overview.Command(t.Command))
	}
	if t.User != "" {
		of = append(of, "user "+ticket.Quote(t.User))
	}
	if len(of) > 0 {
		who += " (" + strings.Join(of, ", ") + ")"
	}
	verb := "is first in the queue"
	if t.State == filelock.Inside {
		verb = "holds it"
	}
	return who + " " + verb
}

// waited is told that the wait is over, with what was taken, or nil.
func (n *narrator) waited(h *held, since time.Time) {
	n.mu.Lock()
	n.over = true
	n.mu.Unlock()
	if n.live != nil {
		n.live.clear()
	}
	if h != nil && n.verbose {
		n.sentence("got the lock of %s after %v", h, time.Since(since).Round(time.Microsecond))
	}
}

func (n *narrator) running(pid int) {
	if n.verbose {
		n.sentence("the command runs as pid %d", pid)
	}
}

// lost is said in any case: the command's end would be a riddle otherwise.
func (n *narrator) lost(pid int) {
	n.sentence("the lock was lost while the command ran: ending it (pid %d)", pid)
}

func (n *narrator) ended(e ending, h *held) {
	switch {
	case !n.verbose:
	case e.signal != nil:
		n.sentence("the command was ended by %s; gave back the lock of %s", signalName(e.signal), h)
	default:
		n.sentence("the command exited with code %d; gave back the lock of %s", e.code, h)
	}
}

func (n *narrator) sentence(format string, args ...any) {
	fmt.Fprintf(n.out, "filelock: "+format+"\n", args...)
}

// String names the targets.
func (h *held) String() string {
	names := make([]string, len(h.locks))
	for i, l := range h.locks {
		names[i] = ticket.Quote(l.name())
	}
	return strings.Join(names, ", ")
}
