// Package live shows an overview of locks at a terminal, and redraws what has changed.
package live

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"

	"github.com/filelock-go/filelock/cmd/filelock/internal/overview"
)

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool { return term.IsTerminal(f.Fd()) }

// Watch shows what look returns, again and again, until q is pressed, or Ctrl-C, or ctx
// is done.
func Watch(ctx context.Context, in, out *os.File, look func(context.Context) overview.Overview, interval time.Duration) error {
	looking, stop := context.WithCancel(ctx)
	defer stop()
	m := model{look: func() overview.Overview { return look(looking) }, interval: interval, now: time.Now}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithoutSignalHandler(),
		tea.WithInput(in), tea.WithOutput(out), tea.WithAltScreen()).Run()
	return err
}

// model is what is shown, and where.
type model struct {
	look     func() overview.Overview
	interval time.Duration
	now      func() time.Time

	lines         []string
	seen          bool
	queues        int
	width, height int
	top           int // the first line that is shown
}

// found is a new look, and due that it is time for one.
type (
	found overview.Overview
	due   struct{}
)

// Init implements tea.Model.
func (m model) Init() tea.Cmd { return m.lookNow }

func (m model) lookNow() tea.Msg { return found(m.look()) }

// Update implements tea.Model.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case found:
		m.seen, m.queues = true, len(msg.Queues)
		m.lines = overview.Overview(msg).Lines(m.now())
		m.scroll(0)
		return m, tea.Tick(m.interval, func(time.Time) tea.Msg { return due{} })
	case due:
		return m, m.lookNow
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.scroll(0)
	case tea.KeyMsg:
		return m.key(msg.String())
	}
	return m, nil
}

func (m model) key(key string) (tea.Model, tea.Cmd) {
	page := max(1, m.room())
	switch key {
	case "q", "ctrl+c", "esc":
		return m, tea.Quit
	case "down", "j":
		m.scroll(1)
	case "up", "k":
		m.scroll(-1)
	case "pgdown", " ":
		m.scroll(page)
	case "pgup", "b":
		m.scroll(-page)
	case "home", "g":
		m.scroll(-m.top)
	case "end", "G":
		m.scroll(len(m.lines))
	}
	return m, nil
}

// room is how many lines there are for what was found.
func (m model) room() int { return m.height - 2 }

func (m *model) scroll(by int) {
	m.top = max(0, min(m.top+by, len(m.lines)-m.room()))
}

// View implements tea.Model.
func (m model) View() string {
	if m.width == 0 || m.height == 0 {
		return ""
	}
	shown := []string{m.title(), ""}
	for i := m.top; i < len(m.lines) && len(shown) < m.height; i++ {
		shown = append(shown, m.lines[i])
	}
	shown = shown[:min(len(shown), m.height)]
	for i, l := range shown {
		shown[i] = ansi.Truncate(l, m.width, "…")
	}
	return strings.Join(shown, "\n")
}

func (m model) title() string {
	switch {
	case !m.seen:
		return "filelock: looking (q quits)"
	case m.queues == 0:
		return "filelock: no locks in use (q quits)"
	}
	more := ""
	if hidden := len(m.lines) - m.room(); hidden > 0 {
		more = fmt.Sprintf(", lines %d to %d of %d, arrows scroll", m.top+1, min(m.top+m.room(), len(m.lines)), len(m.lines))
	}
	locks := "locks"
	if m.queues == 1 {
		locks = "lock"
	}
	return fmt.Sprintf("filelock: %d %s%s (q quits)", m.queues, locks, more)
}
