package referee

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

// tell makes a history of two contenders, 1 ms from event to event.
func tell(events ...any) History {
	h := History{Contenders: make([]Contender, 3)}
	at := time.Duration(0)
	for i := 0; i < len(events); i += 2 {
		if d, ok := events[i].(time.Duration); ok {
			at += d
			i--
			continue
		}
		at += ms
		h.Events = append(h.Events, Event{At: at, Who: events[i].(int), What: events[i+1].(What)})
	}
	return h
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name                                 string
		history                              History
		holds, overlaps, ordered, overtaking int
		handoffs                             []time.Duration
	}{
		{"in turn", tell(0, Asks, 0, Queues, 0, Enters, 1, Asks, 1, Queues, 0, Leaves, 1, Enters, 1, Leaves), 2, 0, 0, 0, []time.Duration{ms}},
		{"two inside", tell(0, Asks, 0, Enters, 1, Asks, 1, Enters, 0, Leaves, 1, Leaves), 2, 1, 0, 0, nil},
		{"one inside was killed just before", tell(0, Asks, 0, Enters, 1, Asks, 1, Enters, 0, Vanishes, 1, Leaves), 2, 0, 0, 0, nil},
		{"one inside is gone only much later", tell(0, Asks, 0, Enters, 1, Asks, 1, Enters, time.Second, 0, Vanishes), 2, 1, 0, 0, nil},
		{"three, in order", tell(0, Asks, 0, Enters, 1, Asks, 1, Queues, 2, Asks, 2, Queues, 0, Leaves, 1, Enters, 1, Leaves, 2, Enters, 2, Leaves),
			3, 0, 1, 0, []time.Duration{ms, ms}},
		{"three, one overtakes", tell(0, Asks, 0, Enters, 1, Asks, 1, Queues, 2, Asks, 2, Queues, 0, Leaves, 2, Enters, 2, Leaves, 1, Enters, 1, Leaves),
			3, 0, 1, 1, []time.Duration{ms, ms}},
		{"asked before the other had its place: no order", tell(0, Asks, 0, Enters, 1, Asks, 2, Asks, 1, Queues, 2, Queues, 0, Leaves, 2, Enters, 2, Leaves, 1, Enters, 1, Leaves),
			3, 0, 0, 0, []time.Duration{ms, ms}},
		{"its place was taken away: no order", tell(0, Asks, 0, Enters, 1, Asks, 1, Queues, 2, Asks, 2, Queues, 0, Leaves, 2, Enters, 2, Leaves, 1, Restarts, 1, Queues, 1, Enters, 1, Leaves),
			3, 0, 0, 0, []time.Duration{ms}},
		{"they never asked", tell(0, Leaves, 1, Enters, 1, Vanishes, 2, Vanishes), 1, 0, 0, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Judge(tt.history)
			require.Equal(t, []int{tt.holds, tt.overlaps, tt.ordered, tt.overtaking},
				[]int{s.Holds, len(s.Overlaps), s.Ordered, len(s.Overtakings)}, "%+v", s)
			require.Equal(t, tt.handoffs, s.Handoffs)
			require.Len(t, s.Waits, tt.holds)
		})
	}
}

func TestJudgeSpansAndFailures(t *testing.T) {
	h := tell(0, Asks, 0, Enters, 0, Leaves, 1, Asks, 1, Fails, 0, Asks, 0, Enters, 0, Vanishes)
	h.Contenders[1] = Contender{Host: "b", PID: 7}
	h.Events[4].Text = "no space"
	s := Judge(h)
	require.Equal(t, []string{"b pid 7: no space"}, s.Failures)
	require.Equal(t, 1, s.Vanished)
	require.Equal(t, [][]Span{{{ms, 2 * ms, 3 * ms}, {6 * ms, 7 * ms, 8 * ms}}, {{Asked: 4 * ms}}, nil}, s.Spans)
	require.Equal(t, 8*ms, s.Lasted)
}

func TestQuantile(t *testing.T) {
	require.Zero(t, Quantile(nil, .5))
	ds := []time.Duration{4, 1, 3, 2}
	require.Equal(t, time.Duration(3), Quantile(ds, .5))
	require.Equal(t, time.Duration(4), Quantile(ds, 1))
	require.Equal(t, time.Duration(1), Quantile(ds, 0))
}

// TestServer: what contenders say arrives in the order in which they were answered,
// nobody begins before the start, and strangers are turned away.
func TestServer(t *testing.T) {
	met := make(chan Hello, 1)
	s, err := Listen("127.0.0.1:0", "", func(h Hello, _ net.Conn, _ *bufio.Reader) { met <- h })
	require.NoError(t, err)
	defer s.Close()

	stranger, in, err := Dial(t.Context(), s.Address(), "wrong", RoleContender)
	require.NoError(t, err)
	require.NoError(t, stranger.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = in.ReadByte()
	require.ErrorIs(t, err, io.EOF, "a stranger is not served")
	stranger.Close()

	lines := make(chan *Line, 2)
	for range 2 {
		go func() {
			l, _ := Call(t.Context(), s.Address(), s.Key())
			lines <- l
		}()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.Await(ctx, 2))
	require.Empty(t, lines, "nobody begins before the start")
	s.Start()
	a, b := <-lines, <-lines
	require.NotNil(t, a)
	require.NotNil(t, b)
	require.NoError(t, a.Say(Asks, ""))
	require.NoError(t, a.Say(Enters, ""))
	require.NoError(t, b.Say(Asks, ""))
	require.NoError(t, b.Mention(Queues, ""))
	require.NoError(t, b.Say(Fails, "why"))
	require.NoError(t, a.Say(Leaves, ""))
	require.NoError(t, a.Mention(Ends, ""))
	require.NoError(t, b.Close())
	require.Eventually(t, func() bool { return len(s.History().Events) == 8 }, 10*time.Second, ms)
	var said []What
	for _, e := range s.History().Events[:6] {
		said = append(said, e.What)
	}
	require.Equal(t, []What{Asks, Enters, Asks, Queues, Fails, Leaves}, said)
	require.NoError(t, a.Close())

	agent, _, err := Dial(t.Context(), s.Address(), s.Key(), RoleAgent)
	require.NoError(t, err)
	require.Equal(t, RoleAgent, (<-met).Role)
	agent.Close()

	short, cancel := context.WithTimeout(t.Context(), ms)
	defer cancel()
	require.ErrorIs(t, s.Await(short, 3), context.DeadlineExceeded)
}

// TestServerRefusesEndlessLines: one who never ends a line is not listened to for ever.
func TestServerRefusesEndlessLines(t *testing.T) {
	s, err := Listen("127.0.0.1:0", "key", func(Hello, net.Conn, *bufio.Reader) {})
	require.NoError(t, err)
	defer s.Close()
	conn, err := net.Dial("tcp", s.Address())
	require.NoError(t, err)
	defer conn.Close()
	junk := make([]byte, 1<<20)
	for i := range junk {
		junk[i] = 'x'
	}
	_, _ = conn.Write(junk)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "it still listens")
}

func TestMessageIsOneLine(t *testing.T) {
	b, err := json.Marshal(message{What: Fails, Text: "a\nb"})
	require.NoError(t, err)
	require.NotContains(t, string(b), "\n")
}
