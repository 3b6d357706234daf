package filelock

import (
	"os"
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
