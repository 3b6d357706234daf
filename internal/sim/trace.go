package sim

import (
	"fmt"
	"strings"

	"github.com/filelock-go/filelock/internal/queue"
)

// say adds a line to the trace. Callers ask for w.tracing first: arguments
// cost more than the steps they describe.
func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%5d  ", w.steps)+fmt.Sprintf(format, args...))
}

func (a *actor) say(format string, args ...any) {
	a.w.say("%d "+format, append([]any{a.id}, args...)...)
}

// show writes a file as name@number, with the number in seconds from the time
// at which schedules start.
func show(f *file) string {
	s := f.name + at(f.number())
	if f.owner != nil {
		s += fmt.Sprintf(" of %d", f.owner.id)
	}
	if f.shared {
		s += ", shared"
	}
	switch {
	case f.removed:
		s += " (removed)"
	case f.dead:
		s += " (dead)"
	}
	return s
}

func showAll(ts []queue.Ticket) string {
	var s []string
	for _, t := range ts {
		s = append(s, t.Name+at(t.Number))
	}
	return strings.Join(s, " ")
}

func at(n queue.Number) string {
	if n == (queue.Number{}) {
		return "@epoch"
	}
	return fmt.Sprintf("@%d.%09d", n.Sec-start.Sec, n.Nsec)
}
