package filelock

import (
	"os"
	"syscall"
	"time"

	"github.com/filelock-go/filelock/internal/ticketdir"
)

// stamped is a directory whose tickets get a time of ours as soon as they are
// there, as if the clock had been stepped.
type stamped struct {
	*ticketdir.Own
	when func() time.Time
}

func (s stamped) Create() (string, error) {
	name, err := s.Own.Create()
	if err != nil {
		return "", err
	}
	at := s.when()
	return name, os.Chtimes(s.Path(), at, at)
}

// StampTickets has all tickets stamped from now on.
func StampTickets(when func() time.Time) {
	openTicketDir = func(q ticketdir.Queue) ticketDir { return stamped{ticketdir.New(q), when} }
}

// Waiting returns how many goroutines wait behind the one that leads or holds.
func (l *FileLock) Waiting() int { return l.line.Waiting() }

// stuckDir is a directory that refuses the first removals.
type stuckDir struct {
	*ticketdir.Own
	refusals *int
}

func (s stuckDir) Remove() error {
	if *s.refusals > 0 {
		*s.refusals--
		return &os.PathError{Op: "remove", Path: s.Path(), Err: syscall.EIO}
	}
	return s.Own.Remove()
}

// RefuseRemovals has the first n removals of tickets of l fail.
func RefuseRemovals(l func() error, n int) error {
	was := openTicketDir
	defer func() { openTicketDir = was }()
	openTicketDir = func(q ticketdir.Queue) ticketDir { return stuckDir{ticketdir.New(q), &n} }
	return l()
}
