package overview

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/ticket"
)

// Lines is an overview as text, for people to read. Whatever others wrote in it is
// quoted where it is not plain. Times are of this time zone; those of now's day are
// short.
func (o Overview) Lines(now time.Time) []string {
	var lines []string
	for i, q := range o.Queues {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, q.lines(now)...)
	}
	if len(o.Cycles) > 0 {
		lines = append(lines, "")
	}
	return append(lines, o.Cycles...)
}

func (q Queue) lines(now time.Time) []string {
	state := "free"
	switch {
	case q.Error != "":
		state = "error: " + Line(q.Error)
	case q.Held:
		state = "held"
	}
	lines := []string{ticket.Quote(q.Path) + ": " + state}
	if q.Note != "" {
		lines = append(lines, "("+Line(q.Note)+")")
	}
	if len(q.Tickets) == 0 {
		return lines
	}
	return append(lines, Table(q.Tickets, now)...)
}

// mostCommand is how much of a command line is shown, which may be of any length.
const mostCommand = 120

// Table is tickets as text, with a header.
func Table(tickets []Ticket, now time.Time) []string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "#\tPHASE\tKIND\tHOST\tPID\tUSER\tQUEUED\tVERDICT\tLABEL\tREASON\tCOMMAND")
	for _, t := range tickets {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Position, t.phase(), t.kind(), ticket.Quote(t.Host), t.PID,
			dash(ticket.Quote(t.User)), stamp(t.Queued, now), t.Verdict, dash(label(t.Label)), Line(t.Reason), dash(t.command()))
	}
	_ = w.Flush() // to memory
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return lines
}

func (t Ticket) phase() string {
	if t.Stopped && t.Phase != Stopped {
		return string(t.Phase) + " (stopped)"
	}
	return string(t.Phase)
}

func (t Ticket) kind() string {
	kind := t.Kind
	if t.Lease != "" {
		kind += " " + t.Lease
	}
	if t.Plain {
		kind += " plain"
	}
	return kind
}

func (t Ticket) command() string {
	if t.Process != nil && t.Process.PID != t.PID {
		return fmt.Sprintf("pid %d: %s", t.Process.PID, Command(t.Command))
	}
	return Command(t.Command)
}

// Command is a command line as it is shown: the beginning of it.
func Command(text string) string { return ticket.Quote(ticket.Shorten(text, mostCommand)) }

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// stamp is a time, short for one of today.
func stamp(t, now time.Time) string {
	t = t.Local()
	if t.Format(time.DateOnly) == now.Local().Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// Line is a sentence as it is shown: it writes what would break a line, or change a terminal, as Go does in
// strings, and the rest as it is.
func Line(text string) string {
	quoted := strings.ReplaceAll(fmt.Sprintf("%q", text), `\"`, `"`)
	return quoted[1 : len(quoted)-1]
}

// label is in quotes always: it is only what somebody says of itself.
func label(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(text)
}

// TableOf is Table for tickets of the library.
func TableOf(tickets []filelock.Ticket, now time.Time) []string {
	shown := make([]Ticket, len(tickets))
	behind := false
	for i, t := range tickets {
		shown[i] = newTicket(t, i+1, behind)
		behind = behind || inTheWay(t)
	}
	return Table(shown, now)
}
