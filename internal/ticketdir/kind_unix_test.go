//go:build unix

package ticketdir

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/filelock-go/filelock/internal/queue"
)

// TestKindInListings: a ticket's kind is in its name, and in each listing, also where
// the second one of a doorway has the rest from the first; both kinds of one prepared
// queue have names of their own.
func TestKindInListings(t *testing.T) {
	writers := queueIn(t.TempDir())
	writers.Prepare()
	readers := writers
	readers.Shared = true
	readers.Prepare()
	reader, writer, another := create(t, readers), create(t, writers), create(t, readers)
	require.Contains(t, reader.Name(), "-s.pid")
	require.Contains(t, writer.Name(), "-x.pid")
	want := map[string]bool{reader.Name(): true, another.Name(): true}
	kinds := func(ts []queue.Ticket) map[string]bool {
		shared := map[string]bool{}
		for _, tk := range ts {
			if tk.Shared && tk.Name != writer.Name() {
				shared[tk.Name] = true
			}
		}
		return shared
	}
	for range 2 {
		ts, err := writer.List()
		require.NoError(t, err)
		require.Len(t, ts, 3)
		require.Equal(t, want, kinds(ts))
	}
	v, err := Open(writers)
	require.NoError(t, err)
	defer v.Close()
	ts, err := v.List()
	require.NoError(t, err)
	require.Equal(t, want, kinds(ts))
}
