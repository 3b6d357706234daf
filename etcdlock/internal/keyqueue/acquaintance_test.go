package keyqueue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/engine"
)

// TestEndOfHolder: who waits right behind a process of its machine when that ends enters
// at once. Whoever comes later, or is elsewhere, or cannot be told waits for the lease.
func TestEndOfHolder(t *testing.T) {
	const length = 4 * time.Second
	for name, tt := range map[string]struct {
		machine string
		hidden  bool
		late    bool // the holder ends before anybody waits
		weather weather
		prompt  bool
	}{
		"while a neighbour waits": {machine: "here", prompt: true},
		"before a neighbour came": {machine: "here", late: true},
		"on another machine":      {machine: "there"},
		"on an unknown machine":   {machine: ""},
		"that has hidden":         {machine: "here", hidden: true},
		"that could not be met":   {machine: "here", weather: weather{crowded: 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(1, tt.weather)
				there, here := &way{fake: f}, &way{fake: f}
				their := newFakeEngine(there, "holder", tt.machine)
				their.process.Hidden = tt.hidden
				held, err := their.Open("name", engine.Options{Lease: length})
				require.NoError(t, err)
				holder := held.New(false)
				_, err = holder.Join(t.Context())
				require.NoError(t, err)
				dies := func() time.Time {
					there.die()
					require.True(t, f.dies("holder"))
					return time.Now()
				}
				var died time.Time
				if tt.late {
					died = dies()
				}
				e := newFakeEngine(here, "waiter", "here")
				q, err := e.Open("name", engine.Options{Lease: time.Minute})
				require.NoError(t, err)
				waiter := q.New(false)
				_, err = waiter.Join(t.Context())
				require.NoError(t, err)
				entered := make(chan error, 1)
				go func() { entered <- waiter.Wait(t.Context()) }()
				if !tt.late {
					time.Sleep(100 * time.Millisecond)
					died = dies()
				}
				require.NoError(t, <-entered)
				took := time.Since(died)
				if tt.prompt {
					require.Less(t, took, 20*time.Millisecond)
				} else {
					require.Greater(t, took, length-200*time.Millisecond)
					require.Less(t, took, length+time.Second)
				}
				require.NoError(t, waiter.Leave(t.Context()))
				require.NoError(t, e.leases.Close(t.Context()))
				time.Sleep(length + time.Second)
				keys, leases, _ := f.count()
				require.Zero(t, keys)
				require.Zero(t, leases)
			})
		})
	}
}

// TestEndOfWaiter: a waiter that ends is in nobody's way either.
func TestEndOfWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, weather{})
		var tickets []engine.Ticket
		var ways []*way
		for _, name := range []string{"holder", "between", "last"} {
			w := &way{fake: f}
			e := newFakeEngine(w, name, "here")
			q, err := e.Open("name", engine.Options{Lease: time.Minute})
			require.NoError(t, err)
			ticket := q.New(false)
			_, err = ticket.Join(t.Context())
			require.NoError(t, err)
			tickets, ways = append(tickets, ticket), append(ways, w)
		}
		require.NoError(t, tickets[0].Wait(t.Context()))
		entered := make(chan error, 1)
		go func() { entered <- tickets[2].Wait(t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		ways[1].die()
		require.True(t, f.dies("between"))
		time.Sleep(100 * time.Millisecond)
		keys, _, _ := f.count()
		require.Equal(t, 2, keys, "who is dead is removed while the holder holds")
		select {
		case err := <-entered:
			t.Fatalf("it entered beside the holder: %v", err)
		default:
		}
		began := time.Now()
		require.NoError(t, tickets[0].Leave(t.Context()))
		require.NoError(t, <-entered)
		require.Less(t, time.Since(began), 20*time.Millisecond)
		require.NoError(t, tickets[2].Leave(t.Context()))
	})
}
