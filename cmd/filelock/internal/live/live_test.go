package live

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/cmd/filelock/internal/overview"
)

func queues(n int) found {
	var o overview.Overview
	for i := range n {
		o.Queues = append(o.Queues, overview.Queue{Path: fmt.Sprintf("/locks/%d", i)})
	}
	return found(o)
}

// send has the model get messages, one after the other.
func send(m tea.Model, msgs ...tea.Msg) tea.Model {
	for _, msg := range msgs {
		m, _ = m.Update(msg)
	}
	return m
}

func key(text string) tea.Msg { return tea.KeyPressMsg{Code: []rune(text)[0], Text: text} }

// text is what m shows.
func text(m tea.Model) string { return m.View().Content }

func TestView(t *testing.T) {
	m := tea.Model(model{now: time.Now, interval: time.Second})
	require.Empty(t, text(m), "before it knows the window")
	m = send(m, tea.WindowSizeMsg{Width: 30, Height: 6})
	require.Contains(t, text(m), "looking")
	m = send(m, queues(0))
	require.Contains(t, text(m), "no locks in use")
	m = send(m, queues(10)) // 19 lines, of which 4 fit
	require.Contains(t, text(m), "/locks/0: free")
	require.NotContains(t, text(m), "/locks/2")
	for _, step := range []struct{ key, shows, not string }{
		{"j", "/locks/2", "/locks/0"}, {"k", "/locks/0", "/locks/2"}, {"G", "/locks/9", "/locks/0"}, {"j", "/locks/9", "/locks/0"},
		{"g", "/locks/0", "/locks/9"}, {"k", "/locks/0", "/locks/9"}, {" ", "/locks/2", "/locks/0"}, {"b", "/locks/0", "/locks/2"},
	} {
		m = send(m, key(step.key))
		require.Contains(t, text(m), step.shows, step.key)
		require.NotContains(t, text(m), step.not, step.key)
	}
	m = send(m, key("G"), queues(1))
	require.Contains(t, text(m), "/locks/0", "what is shorter now is seen from its beginning")
	for _, line := range strings.Split(text(m), "\n") {
		require.LessOrEqual(t, len([]rune(line)), 30)
	}
	m = send(m, tea.WindowSizeMsg{Width: 1, Height: 1})
	require.Equal(t, 1, len(strings.Split(text(m), "\n")))
}

func TestKeysThatEnd(t *testing.T) {
	m := model{now: time.Now}
	for _, msg := range []tea.Msg{key("q"), tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}, tea.KeyPressMsg{Code: tea.KeyEscape}} {
		_, cmd := m.Update(msg)
		require.NotNil(t, cmd)
		require.Equal(t, tea.Quit(), cmd())
	}
}

// TestLooksAgain: one look follows the other, an interval apart.
func TestLooksAgain(t *testing.T) {
	looks := 0
	m := model{now: time.Now, interval: time.Millisecond, look: func() overview.Overview { looks++; return overview.Overview(queues(1)) }}
	msg := m.Init()()
	for range 3 {
		next, cmd := m.Update(msg)
		require.NotNil(t, cmd)
		again := cmd()
		require.Equal(t, due{}, again)
		_, cmd = next.Update(again)
		msg = cmd()
	}
	require.Equal(t, 4, looks)
}
