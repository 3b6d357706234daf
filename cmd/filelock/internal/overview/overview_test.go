package overview

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/filelock-go/filelock"
	"github.com/filelock-go/filelock/internal/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTargetOf(t *testing.T) {
	ours := ticket.Name{Host: "vm", PID: 7, Nonce: strings.Repeat("a", 32)}
	tests := []struct{ name, target string }{
		{ours.Format("db.lock."), "db"},
		{ours.Format("db.lock.lock."), "db.lock"},
		{ours.Format("a.lock.b.lock."), "a.lock.b"},
		{"db.lock.host.7.tok.pid", "db"},
		{"db.lock.host.with.dots.7.tok.pid", "db"},
		{"a.lock.b.lock.host.7.tok.pid", "a.lock.b"},
		{".lock.host.7.tok.pid", ""},
		{"db.lock.host.0.tok.pid", ""},
		{"db.lock", ""},
		{"db", ""},
		{"db.lock.x.pid", ""},
		{strings.TrimSuffix(ours.Format("db.lock."), ".pid") + ".0000000000000001000000001.raised", ""},
	}
	for _, tt := range tests {
		got, ok := targetOf(tt.name)
		require.Equal(t, tt.target != "", ok, tt.name)
		if ok {
			require.Equal(t, tt.target, got, tt.name)
		}
	}
}

func TestPhase(t *testing.T) {
	tests := []struct {
		name   string
		t      filelock.Ticket
		behind bool
		want   Phase
	}{
		{"inside", filelock.Ticket{State: filelock.Inside, Guarded: true}, false, Inside},
		{"inside, stopped", filelock.Ticket{State: filelock.Inside, Guarded: true, Stopped: true}, false, Inside},
		{"heir", filelock.Ticket{State: filelock.Inside, Inherited: true, Guarded: true}, false, Heir},
		{"waits", filelock.Ticket{State: filelock.Alive, Guarded: true}, true, Waiting},
		{"its turn", filelock.Ticket{State: filelock.Alive, Guarded: true}, false, Waiting},
		{"stopped", filelock.Ticket{State: filelock.Alive, Guarded: true, Stopped: true}, true, Stopped},
		{"stalled", filelock.Ticket{State: filelock.Stalled, Guarded: true}, false, Waiting},
		{"rests", filelock.Ticket{State: filelock.Resting, Guarded: true}, false, Resting},
		{"dead", filelock.Ticket{State: filelock.Dead}, false, Gone},
		{"nobody tells, first", filelock.Ticket{State: filelock.Alive}, false, First},
		{"nobody tells, unknown", filelock.Ticket{State: filelock.Unknown}, false, First},
		{"nobody tells, behind", filelock.Ticket{State: filelock.Unknown}, true, Waiting},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, phase(tt.t, tt.behind), tt.name)
	}
}

func TestOf(t *testing.T) {
	dir := t.TempDir()
	held := filepath.Join(dir, "held")
	l, err := filelock.New(held, filelock.WithLabel("night\nly\x1b[2J"))
	require.NoError(t, err)
	require.NoError(t, l.TryLock())
	rests, err := filelock.New(filepath.Join(dir, "rests"))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, rests.TryLock())
		require.NoError(t, rests.Unlock())
	}

	o := Of(t.Context(), []string{held, filepath.Join(dir, "free")})
	require.True(t, o.Held)
	require.Len(t, o.Queues, 2)
	require.Equal(t, []bool{true, false}, []bool{o.Queues[0].Held, o.Queues[1].Held})
	got := o.Queues[0].Tickets[0]
	require.Equal(t, os.Getpid(), got.PID)
	require.Equal(t, 1, got.Position)
	require.Equal(t, os.Getpid(), got.Process.PID)
	require.NotZero(t, got.Process.Started)

	o = Of(t.Context(), []string{dir})
	require.True(t, o.Held)
	lines := strings.Join(o.Lines(time.Now()), "\n")
	require.NotContains(t, lines, "\x1b")
	require.Contains(t, lines, held+": held")
	if got.Label != "" { // which takes extended attributes
		require.Contains(t, lines, `"night\nly\x1b[2J"`)
	}
	require.NotContains(t, lines, "rests: held", "who rests is in nobody's way")

	require.NoError(t, l.Unlock())
	require.NoError(t, l.Close())
	require.NoError(t, rests.Close())
	o = Of(t.Context(), []string{dir})
	require.False(t, o.Held)
	require.Empty(t, o.Queues)
	text, err := json.Marshal(o)
	require.NoError(t, err)
	require.JSONEq(t, `{"version":1,"held":false,"queues":[]}`, string(text))
}

// TestOfErrors: one queue that cannot be looked at keeps no other from being shown.
func TestOfErrors(t *testing.T) {
	dir := t.TempDir()
	o := Of(t.Context(), []string{filepath.Join(dir, "missing", "target"), filepath.Join(dir, "fine")})
	require.Len(t, o.Queues, 2)
	require.ErrorIs(t, o.Queues[0].Err, os.ErrNotExist)
	require.NotEmpty(t, o.Queues[0].Error)
	require.NoError(t, o.Queues[1].Err)
	require.False(t, o.Held)

	for _, q := range o.Queues {
		o.addSeen(q)
	}
	require.Len(t, o.Queues, 3, "one that has gone with its directory is no error to who did not name it")
}

// TestWithin: whoever wants no answer any more does not wait for one.
func TestWithin(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	hangs, asked := make(chan struct{}), make(chan struct{})
	go func() {
		<-asked
		cancel(os.ErrDeadlineExceeded)
	}()
	_, err := within(ctx, func() (int, error) { close(asked); <-hangs; return 0, nil })
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	close(hangs)
	n, err := within(t.Context(), func() (int, error) { return 7, os.ErrClosed })
	require.Equal(t, 7, n)
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestTable(t *testing.T) {
	now := time.Now()
	lines := Table([]Ticket{{
		Position: 1, Phase: Inside, Kind: "exclusive", Host: "a\nb", PID: 7, User: "\x1b[31mroot", Label: "x\ty", Command: strings.Repeat("z", 500),
		Reason: "say \"no\"\r", Queued: now, Stopped: true, Lease: "30s", Process: &Process{PID: 8},
	}, {Position: 2, Queued: now.AddDate(0, 0, -3)}}, now)
	require.Len(t, lines, 3)
	for _, want := range []string{
		`inside (stopped)`, `exclusive 30s`, `"a\nb"`, `"\x1b[31mroot"`, `"x\ty"`, `say "no"\r`, "pid 8: " + strings.Repeat("z", mostCommand) + "…",
		now.Local().Format(time.TimeOnly),
	} {
		require.Contains(t, lines[1], want)
	}
	require.Contains(t, lines[2], now.AddDate(0, 0, -3).Local().Format(time.DateOnly), "of another day")
}

// TestTicketJSON: a ticket of any time can be shown.
func TestTicketJSON(t *testing.T) {
	for _, sec := range []int64{1 << 40, -1 << 40, 253402300799, -62135596800, 1} {
		shown := newTicket(filelock.Ticket{Queued: time.Unix(sec, 0)}, 1, false)
		_, err := json.Marshal(shown)
		require.NoError(t, err)
		require.NotEmpty(t, Table([]Ticket{shown}, time.Now()))
	}
	require.Equal(t, int64(1), newTicket(filelock.Ticket{Queued: time.Unix(1, 0)}, 1, false).Queued.Unix())
}
