package ticket_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
)

func TestSplit(t *testing.T) {
	n := ticket.Name{Host: "web-1", PID: 42, Nonce: ticket.NewNonce(), Start: 7, PIDSpace: 1, Place: 3, Shared: true, Lease: 3 * time.Second}
	for _, base := range []string{"db", "a.lock.b", ".lock.", "x.pid", "~0"} {
		prefix := ticket.Prefix(base)
		got, name, ok := ticket.Split(n.Format(prefix))
		require.True(t, ok, base)
		require.Equal(t, prefix, got)
		require.Equal(t, n, name)
	}
	own := n.Format(ticket.Prefix("db"))
	for _, other := range []string{
		"", ".pid", "db.lock.pid", "db.lock.host.1.token.pid", own[:len(own)-1], own[len("db") : len(own)-4],
		"db" + own[len("db.lock"):], ticket.Raised(own, queue.Number{Sec: 1}),
	} {
		_, _, ok := ticket.Split(other)
		require.False(t, ok, other)
	}
}
