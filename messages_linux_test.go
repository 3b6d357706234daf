package filelock_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/locktest"
	"github.com/filelock-go/filelock/internal/ticket"
)

// refused returns what a try is refused with, and that in words.
func refused(t *testing.T, path string) (busy *filelock.BusyError, text string) {
	t.Helper()
	err := newLock(t, path).TryLock()
	require.ErrorAs(t, err, &busy)
	return busy, err.Error()
}

// elsewhere makes a ticket that of a container.
func elsewhere(n *ticket.Name) { n.Host, n.PIDSpace = "web-1", ticket.HashOf("web-1") }

// TestMessagesSayWho is inside, who waits, who is stopped, and that an heir
// lives; each of what was really there.
func TestMessagesSayWho(t *testing.T) {
	t.Parallel()
	since := `queued since \d\d:\d\d:\d\d `
	t.Run("inside, though another is first", func(t *testing.T) {
		path := target(t)
		first := plant(t, path, elsewhere)
		holdWitness(t, first)
		earlier := time.Now().Add(-2 * time.Minute)
		require.NoError(t, os.Chtimes(first, earlier, earlier))
		inside := plant(t, path, elsewhere)
		holdEntry(t, inside)
		busy, text := refused(t, path)
		require.Equal(t, inside, busy.Holder.Path)
		require.Regexp(t, `: held by web-1 pid \d+, `+since+`\(inside: entry held\), 2 ahead; the lock is busy$`, text)
	})
	t.Run("waits", func(t *testing.T) {
		path := target(t)
		holdWitness(t, plant(t, path, elsewhere))
		busy, text := refused(t, path)
		require.Equal(t, filelock.Alive, busy.Holder.State)
		require.Regexp(t, `: first in the queue is web-1 pid \d+, `+since+`\(alive: waits: witness held\), 1 ahead; `, text)
		require.NotContains(t, text, "held by")
	})
	t.Run("this process", func(t *testing.T) {
		path := target(t)
		l := newLock(t, path)
		require.NoError(t, l.TryLock())
		_, text := refused(t, path)
		require.Contains(t, text, ": held by this process, queued since ")
		q, err := filelock.Inspect(path)
		require.NoError(t, err)
		require.Regexp(t, `^this process, `+since, q.Tickets[0].String())
		require.NoError(t, l.Unlock())
	})
	t.Run("stopped", func(t *testing.T) {
		path := target(t)
		children := line(t, path, 1)
		stop(t, children[0])
		_, text := refused(t, path)
		require.Regexp(t, fmt.Sprintf(`held by \S+ pid %d \(\S+, user \S+\), %s\(inside: entry held; the process is stopped\)`, children[0].Pid(), since), text)
	})
	t.Run("heir", func(t *testing.T) {
		path := target(t)
		c := locktest.Start(t, "bequeath", path)
		heir, err := strconv.Atoi(c.Line())
		require.NoError(t, err)
		process, err := os.FindProcess(heir)
		require.NoError(t, err)
		t.Cleanup(func() { process.Kill() })
		c.Kill()
		_, text := refused(t, path)
		require.Regexp(t, fmt.Sprintf(`held by \S+ pid %d, %s\(inside: entry held by an heir; pid %[1]d is gone\)`, c.Pid(), since), text)
	})
	t.Run("unknown", func(t *testing.T) {
		path := target(t)
		file := path + ".lock.far.example.org.7.tok.pid"
		require.NoError(t, touch(file))
		_, text := refused(t, path)
		require.Contains(t, text, "first in the queue is far.example.org pid 7, queued since ")
		require.Contains(t, text, "(unknown: a plain ticket of another host, far.example.org, ticket "+file+")", "an operator must know what to remove")
	})
}

// TestStateOutOfRange: a State is an int, and may come from anywhere.
func TestStateOutOfRange(t *testing.T) {
	for state, want := range map[filelock.State]string{
		filelock.Unknown: "unknown", filelock.Inside: "inside", filelock.Dead: "dead",
		-1: "State(-1)", 99: "State(99)",
	} {
		require.Equal(t, want, state.String())
		text, err := json.Marshal(filelock.Ticket{State: state})
		require.NoError(t, err)
		require.Contains(t, string(text), fmt.Sprintf("%q:%q", "state", want))
		require.Contains(t, filelock.Ticket{State: state}.String(), want)
	}
}

// TestTicketOfAnyTime: a ticket's number is a file's time, which anybody may set, and JSON
// has only years of four digits.
func TestTicketOfAnyTime(t *testing.T) {
	for at, want := range map[time.Time]int{
		time.Unix(1<<40, 0): 9999, time.Unix(-1<<40, 0): 1, {}: 1, time.Unix(1e9, 0): 2001,
	} {
		text, err := json.Marshal(filelock.Ticket{Queued: at})
		require.NoError(t, err)
		var shown struct{ Queued time.Time }
		require.NoError(t, json.Unmarshal(text, &shown))
		require.Equal(t, want, shown.Queued.UTC().Year())
	}
}

// TestBusyErrorIsReadable by machines, whatever is in it.
func TestBusyErrorIsReadable(t *testing.T) {
	path := target(t)
	holdEntry(t, plant(t, path, func(n *ticket.Name) { elsewhere(n); n.Lease = time.Minute }))
	busy, _ := refused(t, path)
	text, err := json.Marshal(busy)
	require.NoError(t, err)
	var fields struct {
		Op, Path, Waited, Error string
		Ahead                   int
		Holder                  struct {
			Host, State, Reason, Lease string
			PID                        int
			Queued                     time.Time
		}
	}
	require.NoError(t, json.Unmarshal(text, &fields))
	t.Log(string(text))
	require.Equal(t, []any{"try", path, 1, filelock.ErrLocked.Error()}, []any{fields.Op, fields.Path, fields.Ahead, fields.Error})
	require.Equal(t, []any{"web-1", "inside", "entry held", "1m0s"}, []any{fields.Holder.Host, fields.Holder.State, fields.Holder.Reason, fields.Holder.Lease})
	require.True(t, busy.Holder.Queued.Equal(fields.Holder.Queued))

	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("refused", "why", busy)
	t.Log(out.String())
	require.Contains(t, out.String(), `why.ahead=1`)
	require.Contains(t, out.String(), `why.holder="web-1 pid `)
	require.Contains(t, out.String(), `why.error="the lock is busy"`)

	zero := new(filelock.BusyError)
	text, err = json.Marshal(zero)
	require.NoError(t, err)
	require.Contains(t, string(text), `"error":""`)
	out.Reset()
	slog.New(slog.NewTextHandler(&out, nil)).Info("refused", "why", zero)
	require.NotContains(t, out.String(), "panic")
	require.NotEmpty(t, zero.Error())
}

// TestMessagesAreOneLine, whatever a path has in it.
func TestMessagesAreOneLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a\nb\x1b[31m")
	require.NoError(t, os.Mkdir(dir, 0o777))
	path := filepath.Join(dir, "target\n2")
	requireLine := func(text string) {
		t.Helper()
		t.Log(text)
		require.NotContains(t, text, "\n")
		require.NotContains(t, text, "\x1b")
		require.Contains(t, text, `a\nb`)
	}
	l := newLock(t, path)
	require.NoError(t, l.TryLock())
	_, text := refused(t, path)
	requireLine(text)
	require.NoError(t, l.Unlock())

	file := path + ".lock.far.example.org.7.tok.pid"
	require.NoError(t, touch(file))
	_, text = refused(t, path)
	requireLine(text)
	require.NoError(t, os.Remove(file))

	// The system's own errors have the path as it is.
	core, logs := observer.New(zapcore.DebugLevel)
	gone := newLock(t, path, filelock.WithLogger(zap.New(core)))
	require.NoError(t, gone.TryLock())
	require.NoError(t, os.RemoveAll(dir))
	requireLine(gone.Unlock().Error())
	requireLine(gone.TryLock().Error())
	for _, entry := range logs.All() {
		require.NotContains(t, entry.Message, "\n")
	}
	_, err := filelock.Inspect(path)
	requireLine(err.Error())
}
