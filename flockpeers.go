package filelock

import (
	"errors"
	"fmt"
	"strings"

	"github.com/filelock-go/filelock/internal/flockpeer"
	"github.com/filelock-go/filelock/internal/ticket"
)

// WithFlockPeers has the lock exclude programs that take flock(2) on the target
// itself, such as flock(1) and users of github.com/gofrs/flock, too: whoever has the
// lock has a flock on the target as well, an exclusive one (LOCK_EX), or a shared one
// (LOCK_SH) if it shares the lock. So a fleet can move from flock to this lock one
// process at a time; every contender of ours must have the option until the last peer
// is gone. Off by default. WithFlockPeersFile is for those who lock another file, as
// "db.lock" for "db".
//
// A missing file is made, empty and with mode 0600 less the umask as gofrs/flock makes
// it; it is never removed. Nothing is read or written. Where the path is a symbolic
// link it is followed; what it leads to may be a directory.
//
// Ours queue first, and only those whose turn it is ask for the flock: one of ours, or
// the readers that share. Goroutines of one process that follow each other within
// WithBatch keep the flock. It is given back before the ticket. A hold costs seven
// system calls more, and who waits for a peer looks each second whether its ticket and
// the file are still there.
//
// What peers do to each other they do to us, and we to them: a flock knows no order.
// One who comes back at once may overtake ours. A peer that polls (TryLockContext) may
// wait for long beside ours that never pause: docs/migrating.md has figures, and what
// to do. A flock lets readers in while a writer waits, so that readers of ours that
// follow each other without a gap keep a peer from its LOCK_EX for as long as they do.
//
// An acquisition that gives up returns at its moment, but flock(2) cannot be called
// off: a thread waits there on, with the file open, until the peer leaves, also after
// Close. What it gets then it gives back at once, unless another acquisition of this
// process wants it, which thereby keeps the place among the peers; it keeps no TryLock
// out. One such thread for a file and a kind, exclusive or shared, is left in a process,
// however many acquisitions give up and however many FileLocks name the file. (A file
// that peers removed or replaced, and have not left yet, counts as one of its own.)
// The error is a *BusyError whose Holder is the peer (FlockPeer), with its pid where
// /proc/locks shows it. Others of ours see the one that waits for a peer as Inside.
//
// Peers that remove or replace the file are followed to the new one. If that happens
// while the lock is held, it is lost: ErrLost from Unlock. Acquire fails with ErrLost
// when it waits for a peer and its ticket is removed, or its lease ends, meanwhile.
//
// Locks of different targets whose peers lock one file exclude each other too, unless
// all share. Nothing looks for that: who holds one and acquires another, as AcquireAll
// does with both, waits for itself, without ErrDeadlock. So give each target a file
// of its own, or hold one of such locks at a time.
//
// Witness and Bequeath fail with errors.ErrUnsupported, since an heir would not have
// the flock; a killed holder's child is alone with its ticket only as far as ours go.
// On NFS a flock excludes other machines if their kernels and the mount say so, and
// needs a file that may be written.
//
// New fails with errors.ErrUnsupported on systems without flock(2): Windows, AIX,
// Solaris, Plan 9, js, wasip1.
func WithFlockPeers() Option {
	return optionFunc(func(c *config) error {
		c.flockPeers, c.flockFile = true, ""
		c.forFiles = append(c.forFiles, "WithFlockPeers")
		return nil
	})
}

// WithFlockPeersFile is WithFlockPeers for peers that lock the file at path, which may
// be a directory. A relative path counts from the working directory at the time of
// New. Of several such options the last one counts.
func WithFlockPeersFile(path string) Option {
	return optionFunc(func(c *config) error {
		if path == "" || strings.ContainsRune(path, 0) {
			return fmt.Errorf("%w: path of the file that peers lock: %q", ErrInvalid, path)
		}
		abs, err := absolute(path)
		if err != nil {
			return err
		}
		c.flockPeers, c.flockFile = true, abs
		c.forFiles = append(c.forFiles, "WithFlockPeersFile")
		return nil
	})
}

// peersOf returns the file that a target's peers lock, or nil if there are none. All
// FileLocks of the process whose peers lock one file have the same.
func (c *config) peersOf(target string) (*flockpeer.File, error) {
	if !c.flockPeers {
		return nil, nil
	}
	if !flockpeer.Supported {
		return nil, fmt.Errorf("%w: this system has no flock (WithFlockPeers)", errors.ErrUnsupported)
	}
	if c.flockFile != "" {
		target = c.flockFile
	}
	return flockpeer.Of(target), nil
}

// peerString describes a peer in a few words.
func (t Ticket) peerString() string {
	who := "a flock peer that cannot be seen"
	switch {
	case t.self:
		who = "this process, outside of this lock"
	case t.PID != 0:
		who = fmt.Sprintf("%s pid %d, a flock peer", ticket.Quote(t.Host), t.PID)
	}
	return fmt.Sprintf("%s, which has a flock on %s", who, ticket.Quote(t.Path))
}
