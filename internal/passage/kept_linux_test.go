package passage

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/filelock-go/filelock/internal/queue"
	"github.com/filelock-go/filelock/internal/ticket"
	"github.com/filelock-go/filelock/internal/ticketdir"
)

// TestKeptIsOpen: while one ticket is looked at, the looks at the others may take its
// place among those that are kept, and close it. Then it is not kept.
//
//	look at b: inside          it is kept as the one inside
//	b goes out, a goes in
//	look at b: unknown         the clocks of all ahead are started, which looks at
//	                           a: inside, kept in b's place, and b is closed
//	                           b is watched, and so it is kept: closed
//	look at b                  "bad file descriptor", which ends the wait if it lasts
func TestKeptIsOpen(t *testing.T) {
	dir := t.TempDir()
	if !ticketdir.OneKernel(dir) {
		t.Skip("needs a local filesystem for its temporary directory")
	}
	cfg := &Config{Queue: ticketdir.Queue{Dir: dir, Prefix: prefix, Mode: 0o644}, Poll: time.Second, Site: new(Site)}
	cfg.Queue.Prepare()
	cfg.Site.Find(dir)
	p := New(cfg)
	require.NoError(t, p.Join(t.Context()))
	defer func() { require.NoError(t, p.Leave()) }()
	own, ok := ticket.Parse(prefix, p.dir.Name())
	require.True(t, ok)

	plant := func(age time.Duration) (queue.Ticket, *os.File) {
		name := ticket.Name{Host: "elsewhere", PID: 7, Nonce: ticket.NewNonce(), PIDSpace: ticket.HashOf("elsewhere"), Place: own.Place}
		path := filepath.Join(dir, name.Format(prefix))
		f, err := os.Create(path)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(path, at, at))
		return queue.Ticket{Name: filepath.Base(path), Number: queue.Number{Sec: at.Unix(), Nsec: int32(at.Nanosecond())}}, f
	}
	lock := func(f *os.File, kind int16) {
		require.NoError(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Len: 1}))
	}
	_, a := plant(2 * time.Hour)
	last, b := plant(time.Hour)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Wait(over), context.Canceled) // the doorway is behind it
	require.Len(t, p.contender.AllAhead(), 2)
	p.watching = last.Name

	lock(b, unix.F_WRLCK)
	_, _, err := p.Look(last, false)
	require.NoError(t, err)
	p.kept.put(&p.kept.inside, p.kept.find(last.Name))
	p.kept.put(&p.kept.watched, nil) // as after another one was watched meanwhile
	lock(b, unix.F_UNLCK)
	lock(a, unix.F_WRLCK)
	for range 2 {
		_, _, err = p.Look(last, false)
		require.NoError(t, err)
	}
	verdict, known := cfg.Site.memory.verdict(last.Name)
	require.True(t, known)
	require.NotContains(t, verdict.Reason, "bad file descriptor")
}
