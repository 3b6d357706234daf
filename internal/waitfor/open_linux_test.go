package waitfor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/liveness"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

func TestStateOf(t *testing.T) {
	for line, want := range map[string]State{
		"1: OFDLCK ADVISORY  WRITE -1 08:01:1234 0 0": Inside,
		"2: OFDLCK ADVISORY  READ -1 08:01:1234 1 1":  Waiting,
		"1: OFDLCK ADVISORY  READ -1 08:01:1234 0 0":  Idle, // who removes it
		"1: OFDLCK ADVISORY  WRITE -1 08:01:1234 1 1": Idle,
		"1: POSIX  ADVISORY  WRITE 77 08:01:1234 0 0": Idle,
		"1: FLOCK  ADVISORY  WRITE 77 08:01:1 0 EOF":  Idle,
		"": Idle,
	} {
		require.Equal(t, want, stateOf(strings.Fields(line)), line)
	}
}

// own returns a ticket of this process in dir.
func own(t *testing.T, dir, base string) *ticketdir.Own {
	t.Helper()
	o := ticketdir.New(ticketdir.Queue{Dir: dir, Prefix: ticket.Prefix(base), Mode: 0o644})
	_, err := o.Create()
	require.NoError(t, err)
	t.Cleanup(func() { _ = o.Remove() })
	_, err = o.List()
	require.NoError(t, err)
	return o
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	find := func(file string) (found Ticket, ok bool) {
		all := Open(os.Getpid())
		i := slices.IndexFunc(all, func(t Ticket) bool { return t.File == file })
		if i < 0 {
			return found, false
		}
		return all[i], true
	}
	o := own(t, dir, "target")
	if !o.Entries() {
		t.Skip("there are no entry locks here")
	}
	got, ok := find(o.Name())
	require.True(t, ok)
	require.Equal(t, Idle, got.State, "in its doorway")
	require.Equal(t, Queue{dir, ticket.Prefix("target")}, got.Queue)
	require.Equal(t, filepath.Join(dir, "target"), got.Target())
	require.Equal(t, os.Getpid(), got.PID)
	require.Equal(t, os.Getpid(), got.Name.PID)

	require.NoError(t, o.Settle(true))
	got, _ = find(o.Name())
	require.Equal(t, Waiting, got.State)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(dir, o.Name()), &st))
	require.EqualValues(t, st.Mtim.Nsec, got.Number.Nsec)
	require.EqualValues(t, st.Mtim.Sec, got.Number.Sec)

	// An onlooker has it open as well, and does not queue with it.
	f, err := os.Open(filepath.Join(dir, o.Name()))
	require.NoError(t, err)
	defer f.Close()
	count := 0
	for _, t := range Open(os.Getpid()) {
		if t.File == o.Name() {
			count++
		}
	}
	require.Equal(t, 1, count)

	_, err = o.Enter()
	require.NoError(t, err)
	got, _ = find(o.Name())
	require.Equal(t, Inside, got.State)
	require.False(t, IsHeir(), "they are its own")
	all := All()
	i := slices.IndexFunc(all, func(p Process) bool { return p.PID == os.Getpid() })
	require.GreaterOrEqual(t, i, 0)
	require.NotZero(t, all[i].Mounts)

	require.NoError(t, o.Remove())
	_, ok = find(o.Name())
	require.False(t, ok)
	require.Empty(t, Open(1<<22+1), "there is no such process")
}

// TestLookAtNothing: where pids mean nothing, nobody is looked at.
func TestLookAtNothing(t *testing.T) {
	l := NewLook(nil, true)
	l.self, l.known = liveness.Identity{}, false
	q := Queue{t.TempDir(), ticket.Prefix("a")}
	_, ok := l.Circle(Wait{Queue: Queue{q.Dir, ticket.Prefix("b")}, Held: []Queue{q}})
	require.False(t, ok)
	require.Empty(t, l.listed)
}
