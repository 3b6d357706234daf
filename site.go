package filelock

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/filelock-go/filelock/internal/fence"
	"github.com/filelock-go/filelock/internal/flockpeer"
	"github.com/filelock-go/filelock/internal/inuse"
	"github.com/filelock-go/filelock/internal/local"
	"github.com/filelock-go/filelock/internal/passage"
	"github.com/filelock-go/filelock/internal/ticketdir"
	"github.com/filelock-go/filelock/internal/waitfor"
)

// site is what the FileLocks of one path in this process share: what is known of
// the queue, and the lines in which its goroutines wait.
type site struct {
	target   string
	queue    waitfor.Queue
	passages passage.Site
	lines    inuse.Map[lineKey, line]

	mu    sync.Mutex
	fence *fence.Record // nil: nobody has asked for it
}

// lineKey tells apart the lines of one path: the tickets of those who wait in
// one line must mean the same to other processes.
type lineKey struct {
	lease      time.Duration
	plainPeers bool
	label      string
	peers      *flockpeer.File
	// bubbled: of locks that were made in bubbles of testing/synctest. They share
	// no channel with others, and so wait for these as for other processes.
	bubbled bool
}

// line is a line of goroutines. The FileLocks whose line it is keep it, and so does each
// grant by it: no line is forgotten that somebody waits in, or can give back a lock to.
type line struct {
	local.Line
	// nameless is how many holds by this line are in nobody's name.
	nameless atomic.Int32
}

// sites are the sites of all living FileLocks.
var sites inuse.Map[string, site]

func siteKey(dir, prefix string) string { return dir + "\x00" + prefix }

func siteOf(q ticketdir.Queue, target string) *site {
	return sites.Of(siteKey(q.Dir, q.Prefix), func() *site {
		return &site{target: target, queue: waitfor.Queue{Dir: q.Dir, Prefix: q.Prefix}}
	})
}

func (s *site) line(k lineKey) *line { return s.lines.Of(k, func() *line { return new(line) }) }
