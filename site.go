package filelock

import (
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/filelock-go/filelock/internal/fence"
	"github.com/filelock-go/filelock/internal/flockpeer"
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

	mu    sync.Mutex
	lines map[lineKey]*local.Line
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

// sites holds the sites of all living FileLocks.
var sites = struct {
	mu    sync.Mutex
	known map[string]weak.Pointer[site]
}{known: map[string]weak.Pointer[site]{}}

func siteKey(dir, prefix string) string { return dir + "\x00" + prefix }

func siteOf(q ticketdir.Queue, target string) *site {
	key := siteKey(q.Dir, q.Prefix)
	sites.mu.Lock()
	defer sites.mu.Unlock()
	if s := sites.known[key].Value(); s != nil {
		return s
	}
	s := &site{target: target, queue: waitfor.Queue{Dir: q.Dir, Prefix: q.Prefix}, lines: map[lineKey]*local.Line{}}
	sites.known[key] = weak.Make(s)
	runtime.AddCleanup(s, forget, key)
	return s
}

// forget drops the entry of a site that is no more, unless a new one took it.
func forget(key string) {
	sites.mu.Lock()
	defer sites.mu.Unlock()
	if sites.known[key].Value() == nil {
		delete(sites.known, key)
	}
}

func (s *site) line(k lineKey) *local.Line {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines[k] == nil {
		s.lines[k] = new(local.Line)
	}
	return s.lines[k]
}
